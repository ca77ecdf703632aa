import { expect, test } from "bun:test";
import { openSync, readFileSync } from "node:fs";
import { isRunning, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

test("inspect, detach and logs accept the PID of a job's main process", async () => {
  const { pid } = await sandbox().startJob("named", [], ["sleep", "600"]);
  expect((await sandbox().run(["inspect", String(pid)])).stdout).toMatch(/^job +named$/m);
  const logs = await sandbox().run(["logs", String(pid)]);
  expect(logs.stderr).toContain("job named has no log");
  const { code, stdout } = await sandbox().run(["detach", String(pid)]);
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: `job named is detached: everything is restored, and PID ${pid} keeps running\n`,
  });
  expect(isRunning(pid)).toBe(true);
  const again = await sandbox().run(["detach", String(pid)]);
  expect(again.code).toBe(2);
  expect(again.stderr).toContain(`process ${pid} is not governed by a job in ${sandbox().state}/ledger.db`);
  expect(again.stderr).toContain(`try: ffrtmp attach --pid ${pid}`);
});

limitsTest("a PID inside of a job's cgroup names the innermost job", async () => {
  const { pid } = await sandbox().startJob("whole", [], ["sh", "-c", "sleep 601; :"]);
  const children = () => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  await until("the workload has a child", () => children() !== "");
  expect((await sandbox().json(["inspect", children()])).job_id).toBe("whole");
});

test("logs -f by PID follows the job to its end", async () => {
  const gate = sandbox().path("gate");
  const script = `echo before; while [ ! -e ${gate} ]; do sleep 0.02; done; echo after`;
  await sandbox().run(["run", "-d", "--job-id", "followed", "--", "sh", "-c", script]);
  const output = sandbox().path("output");
  const follower = sandbox().start(["logs", "-f", String(await sandbox().pidOf("followed"))], {
    stdout: openSync(output, "w"),
  });
  await until("the follower has found the job", () => readFileSync(output, "utf8") === "before\n");
  await Bun.write(gate, "");
  expect(await follower.exited).toBe(0);
  expect(readFileSync(output, "utf8")).toBe("before\nafter\n");
});

test("a number that is the id of a job is that job, also where it is the PID of another job's process", async () => {
  const { pid } = await sandbox().startJob("first", [], ["sleep", "600"]);
  await sandbox().startJob(String(pid), [], ["sleep", "601"]);
  const { stdout, stderr } = await sandbox().run(["inspect", String(pid)]);
  expect(stdout).toMatch(/^command +sleep 601$/m);
  expect(stderr).toBe(
    `ffrtmp: ${pid} is the id of a job; the process with PID ${pid} belongs to job first\n`,
  );
});

test("a PID without a process, and a word that is none, are reported as what they are", async () => {
  await sandbox().run(["run", "--", "true"]);
  const gone = await sandbox().run(["inspect", "4194304"]);
  expect(gone.code).toBe(2);
  expect(gone.stderr).toContain("process 4194304 does not exist\n  try: ");
  for (const name of ["12x", "-", "0", "99999999", "1e3"]) {
    const { code, stderr } = await sandbox().run(["inspect", name]);
    expect({ name, code }).toEqual({ name, code: 2 });
    expect(stderr).toContain(`there is no job ${name} in `);
  }
});

test("detach --json prints the result of the job", async () => {
  const { pid } = await sandbox().startJob("freed", ["--intent", "live"], ["sleep", "600"]);
  const result = await sandbox().json(["detach", "freed"]);
  expect(result).toMatchObject({ job_id: "freed", pid, ending: "detached", exit_code: null, intent: "live" });
  expect((await sandbox().json(["inspect", "freed"])).result).toEqual(result);
});
