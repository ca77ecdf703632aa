import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  isRunning,
  lacksCommand,
  readProc,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const clockTest = testIf(lacksCommand("cc"));

const DAY_S = 86_400;

/** Returns the environment of an ffrtmp whose wall clock `set` moves by seconds, by a preloaded library. */
async function steppedClock(
  box: Sandbox,
): Promise<{ env: Record<string, string>; set(seconds: number): void }> {
  const [library, file] = [box.path("stepClock.so"), box.path("clock-step")];
  const source = join(import.meta.dir, "../support/programs/stepClock.c");
  const compiler = box.spawn(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"]);
  expect(await compiler.exited).toBe(0);
  const set = (seconds: number): void => writeFileSync(file, String(seconds));
  set(0);
  return { env: { LD_PRELOAD: library, CLOCK_STEP_FILE: file }, set };
}

for (const seconds of [-DAY_S, DAY_S]) {
  clockTest(`the runtime is exact when the wall clock is set by ${seconds} s while a job runs`, async () => {
    const { env, set } = await steppedClock(sandbox());
    const pipes = { env, stdin: "pipe", stderr: "pipe" } as const;
    const { wrapper } = await sandbox().startJob("stepped", [], ["head", "-n", "1"], pipes);
    set(seconds);
    const input = wrapper.stdin;
    if (typeof input !== "object" || input === null || !("write" in input))
      throw new Error("stdin is a pipe");
    input.write("\n");
    await input.end();
    expect(await wrapper.exited).toBe(0);
    const summary = await new Response(wrapper.stderr as ReadableStream).text();
    expect(summary).toMatch(/\| runtime=\d{1,3}(\.\d)?s \|/);
    const { result } = await sandbox().json(["inspect", "stepped"]);
    expect(result).toMatchObject({ exit_code: 0, duration_clock: "boot", ended_before: null });
    // The wall clock did move: the recorded times are a day apart.
    const apartMs = Date.parse(result.end_time) - Date.parse(result.start_time);
    expect(Math.abs(apartMs)).toBeGreaterThan((DAY_S * 1000) / 2);
    expect(result.runtime_seconds).toBeGreaterThanOrEqual(0);
    expect(result.runtime_seconds).toBeLessThan(DAY_S / 2);
    expect(result.processing_seconds).toBe(result.runtime_seconds);
  });
}

test("an end that no ffrtmp observed has bounds, and no runtime", async () => {
  const { wrapper, pid, jobId } = await sandbox().startJob("unseen", [], ["sleep", "1"]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  await until("the workload has ended", () => !isRunning(pid));
  const [result] = await sandbox().json(["history"]);
  expect(result).toMatchObject({
    job_id: jobId,
    ending: "unobserved",
    end_time: null,
    processing_seconds: null,
    runtime_seconds: null,
    exit_code: null,
  });
  expect(result.runtime_at_most_seconds).toBeGreaterThanOrEqual(1);
  expect(Date.parse(result.last_seen)).toBeLessThan(Date.parse(result.ended_before));
  const { stdout: history } = await sandbox().run(["history"]);
  expect(history).toMatch(/^unknown +≤ \d{4}-\d\d-\d\d \S+ +unseen +unknown +≤ \d+(\.\d)?s +violation/m);
  const { stdout: inspected } = await sandbox().run(["inspect", jobId]);
  expect(inspected).toMatch(/^ended +between \S+ \S+, when it was last seen, and \S+ \S+, unobserved$/m);
  expect(inspected).toMatch(/^runtime +≤ \d+(\.\d)?s$/m);
});

test("the runtime of an attached process is its own, from its start", async () => {
  const sleeper = sandbox().spawn(["sleep", "600"]);
  const { pid } = sleeper;
  await until("it runs sleep", () => readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n");
  await Bun.sleep(300);
  sandbox().start(["attach", "--pid", String(pid), "--job-id", "older"]);
  await until("it is governed", async () => (await sandbox().json(["ps"]))[0]?.state === "running");
  sleeper.kill("SIGKILL");
  const result = await sandbox().resultOf("older");
  expect(result.runtime_seconds).toBeGreaterThanOrEqual(0.3);
  expect(result.processing_seconds).toBeLessThan(result.runtime_seconds);
});

for (const command of ["run", "attach"]) {
  test(`the end of a job while its ${command} is stopped, as by Ctrl-Z, has bounds and an exit code`, async () => {
    const sleeper = command === "run" ? undefined : sandbox().spawn(["sleep", "600"]);
    const target = sleeper ? ["--pid", String(sleeper.pid)] : ["--", "sleep", "600"];
    const observer = sandbox().start([command, "--job-id", "stopped", ...target]);
    const pid = await sandbox().pidOf("stopped");
    sandbox().adopt(pid);
    // SIGCONT is signal 18: bit 17 of the mask.
    await until("the observer listens to SIGCONT", () => (heardSignals(observer.pid) & (1n << 17n)) !== 0n);
    process.kill(observer.pid, "SIGSTOP");
    await until("it is stopped", () => /^State:\tT/m.test(readProc(observer.pid, "status")));
    process.kill(pid, "SIGKILL");
    await until("the workload has ended", () => !isRunning(pid));
    process.kill(observer.pid, "SIGCONT");
    await observer.exited;
    expect(await sandbox().resultOf("stopped")).toMatchObject({
      signal: "SIGKILL",
      end_time: null,
      runtime_seconds: null,
      ended_before: expect.any(String),
    });
  });
}

/** Returns the signals that a process has a handler for, or blocks and reads from a signalfd. */
function heardSignals(pid: number): bigint {
  const masks = readProc(pid, "status").matchAll(/^Sig(?:Cgt|Blk):\t([0-9a-f]+)$/gm);
  return [...masks].reduce((heard, [, mask]) => heard | BigInt(`0x${mask}`), 0n);
}
