import { expect, test } from "bun:test";
import { isRunning, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";
import { startDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

limitsTest("attach -d governs a process, prints the job's id and nothing else, and returns", async () => {
  const { pid } = sandbox().spawn(["sh", "-c", "sleep 600; exit 3"]);
  const args = ["attach", "-d", "--pid", `${pid}`, "--job-id", "kept", "--cpu-quota", "50"];
  expect(await sandbox().run(args)).toEqual({ code: 0, stdout: "kept\n", stderr: "" });
  const { state, limits, observer_pid: observer } = await sandbox().json(["inspect", "kept"]);
  sandbox().adopt(observer);
  expect({ state, limits }).toMatchObject({ state: "running", limits: [{ outcome: "applied" }] });
  expect(isRunning(observer)).toBe(true);
  process.kill(pid, "SIGKILL");
  expect(await sandbox().resultOf("kept")).toMatchObject({ signal: "SIGKILL", platform_sla_compliant: true });
});

test("attach -d --json prints the job's id and its pid, with a generated id too", async () => {
  const { pid } = sandbox().spawn(["sleep", "600"]);
  const started = await sandbox().json(["attach", "-d", "--pid", `${pid}`]);
  expect(started).toEqual({ job_id: expect.stringMatching(new RegExp(`^pid-${pid}-`)), pid });
});

test("attach -d takes a job over whose observer is gone", async () => {
  const { pid, wrapper } = await sandbox().startJob("orphan", [], ["sleep", "600"]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  expect(await sandbox().run(["attach", "-d", "--job", `${pid}`])).toMatchObject({
    code: 0,
    stdout: "orphan\n",
  });
  const { observer_pid: observer } = await sandbox().json(["inspect", "orphan"]);
  sandbox().adopt(observer);
  process.kill(observer, "SIGKILL");
  await until("the background process is dead", () => !isRunning(observer));
  expect(isRunning(pid)).toBe(true);
  expect((await sandbox().json(["attach", "-d", "--pid", `${pid}`])).job_id).toBe("orphan");
});

limitsTest("attach -d leaves no process where a daemon runs, which observes the job", async () => {
  const box = sandbox();
  const daemon = await startDaemon(box, ["--target", `none-${box.tag}`]);
  const target = box.spawn(["sh", "-c", "read line; exit 7"], { stdin: "pipe" });
  const { code, stdout } = await box.run(["attach", "-d", "--pid", `${target.pid}`, "--job-id", "handed"]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: "handed\n" });
  await until("the daemon observes the job", async () => {
    const { observer_pid } = await box.json(["inspect", "handed"]);
    return observer_pid === daemon.process.pid;
  });
  (target.stdin as Bun.FileSink).end();
  expect(await box.resultOf("handed")).toMatchObject({ mode: "attach", outcome: "failed", exit_code: 7 });
});

test("attach -d reports what attach refuses, with its exit code", async () => {
  const gone = await sandbox().run(["attach", "-d", "--pid", "4194304"]);
  expect({ code: gone.code, stdout: gone.stdout }).toEqual({ code: 2, stdout: "" });
  expect(gone.stderr).toContain("process 4194304 does not exist\n  try: ");
  const none = await sandbox().run(["attach", "-d", "--job", "nobody"]);
  expect(none.code).toBe(2);
  expect(none.stderr).toContain("there is no job nobody");
});
