import { expect } from "bun:test";
import { eventually, lacksLimits, testIf, useSandbox } from "../support/sandbox.ts";
import { startDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

interface UsagePoint {
  start_time: string;
  end_time: string;
  cpu_seconds: number;
}

limitsTest("what a job used during its life is in its history, as watch has measured it", async () => {
  const { process } = await startDaemon(sandbox());
  const busy = "timeout 2 sh -c 'while :; do :; done'";
  const { code } = await sandbox().run(["run", "-d", "--job-id", "busy", "--", "sh", "-c", busy]);
  expect(code).toBe(0);
  sandbox().adopt(await sandbox().pidOf("busy"));
  const { usage } = await sandbox().resultOf("busy");
  const inspected = await sandbox().json(["inspect", "busy"]);
  const points: UsagePoint[] = inspected.usage_history.points;
  expect(points.length).toBeGreaterThan(0);
  const measured = points.reduce((sum, point) => sum + point.cpu_seconds, 0);
  // From the first reading, some 100 ms after the start, to the last one, when the job had ended.
  const used = usage.cpu_user_seconds + usage.cpu_system_seconds;
  expect(measured).toBeLessThanOrEqual(used);
  expect(measured).toBeGreaterThan(0);

  const { stdout } = await sandbox().run(["history", "busy"]);
  expect(stdout).toMatch(
    /^OUTCOME .*\n.*\n\nmeasured for +[\d.]+s\ncpu over time +[▁▂▃▄▅▆▇█1-8]+ +[\d.]+ cores/,
  );
  expect((await sandbox().run(["inspect", "busy"])).stdout).toMatch(/^memory over time +\S+ +[\d.]+ \S?i?B/m);
  // Plain digits for a terminal without UTF-8.
  const plain = await sandbox().run(["history", "busy"], { env: { LC_ALL: "C" } });
  expect(plain.stdout).toMatch(/^cpu over time +[1-8]+ +[\d.]+ cores/m);
  process.kill("SIGTERM");
  await process.exited;
});

limitsTest("of a running job, watch is asked what it has used until now", async () => {
  const { process } = await startDaemon(sandbox());
  await sandbox().startJob("runs", [], ["sleep", "1000"]);
  const inspected = await eventually("watch has measured the job twice", async () => {
    const found = await sandbox().json(["inspect", "runs"]);
    return found.usage_history === null ? undefined : found;
  });
  const { usage_history: life, usage_last_10_minutes: recent, usage_last_6_hours: hours } = inspected;
  expect(recent.points).toEqual(life.points);
  expect(hours.points).toEqual(life.points);
  expect([life.point_seconds, recent.point_seconds, hours.point_seconds]).toEqual([10, 600 / 360, 60]);
  // Stopping records it.
  process.kill("SIGTERM");
  await process.exited;
  const stopped = await sandbox().json(["inspect", "runs"]);
  expect(stopped.usage_history.points.length).toBeGreaterThanOrEqual(life.points.length);
  expect(stopped).toMatchObject({ usage_last_10_minutes: null, usage_last_6_hours: null });
});

limitsTest("a job that no watch has measured has no history", async () => {
  await sandbox().run(["run", "--job-id", "alone", "--", "true"]);
  expect((await sandbox().json(["inspect", "alone"])).usage_history).toBeNull();
  const { stdout } = await sandbox().run(["history", "alone"]);
  expect(stdout.trim().split("\n")).toHaveLength(2);
});
