import { expect, test } from "bun:test";
import { until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();

async function upgradeText(): Promise<string> {
  const checks: { name: string; found: string }[] = await sandbox().json(["doctor"]);
  return checks.find(({ name }) => name === "upgrade of ffrtmp")?.found ?? "";
}

test("doctor says what an upgrade means for the jobs that run now", async () => {
  expect(await upgradeText()).toStartWith("no job is governed now");
  const kept = await sandbox().startJob("kept", [], ["sleep", "1000"]);
  const orphan = await sandbox().startJob("orphan", [], ["sleep", "1000"]);
  expect(await upgradeText()).toBe(
    "all 2 jobs continue under the same limits, and the ffrtmp that waits for each records its end",
  );
  orphan.wrapper.kill("SIGKILL");
  await orphan.wrapper.exited;
  expect(await upgradeText()).toContain(
    "all 2 jobs continue under the same limits; the next watch takes 1 over",
  );
  process.kill(kept.pid, "SIGKILL");
  process.kill(orphan.pid, "SIGKILL");
  await kept.wrapper.exited;
  await until("the orphan has ended", async () => (await upgradeText()).startsWith("no job is governed now"));
});
