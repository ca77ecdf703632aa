import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { isRunning, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

test("run -d prints the job's id and nothing else, and returns while the job runs", async () => {
  const { code, stdout, stderr } = await sandbox().run([
    "run",
    "-d",
    "--job-id",
    "bg",
    "--",
    "sleep",
    "1000",
  ]);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "bg\n", stderr: "" });
  const { pid, state } = await sandbox().json(["inspect", "bg"]);
  sandbox().adopt(pid);
  expect(state).toBe("running");
  expect(isRunning(pid)).toBe(true);
  expect(readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[5]).toBe(String(pid));
});

test("run -d --json prints the job's id and its pid", async () => {
  const { stdout } = await sandbox().run(["run", "-d", "--json", "--", "sleep", "1000"]);
  const { job_id: jobId, pid } = JSON.parse(stdout);
  sandbox().adopt(pid);
  expect((await sandbox().json(["inspect", jobId])).pid).toBe(pid);
});

test("logs prints the output of a background job byte for byte, both streams in order", async () => {
  const script = "printf 'one\\n'; printf 'two\\n' >&2; printf '\\377\\000three'";
  await sandbox().run(["run", "-d", "--job-id", "spoke", "--", "sh", "-c", script]);
  await sandbox().resultOf("spoke");
  const child = sandbox().start(["logs", "spoke"]);
  const bytes = await new Response(child.stdout as ReadableStream).arrayBuffer();
  expect(Buffer.from(bytes).toString("latin1")).toBe("one\ntwo\n\u00ff\u0000three");
});

test("logs -f follows a job to its end", async () => {
  const gate = sandbox().path("gate");
  const script = `echo before; while [ ! -e ${gate} ]; do sleep 0.02; done; echo after`;
  await sandbox().run(["run", "-d", "--job-id", "followed", "--", "sh", "-c", script]);
  const follower = sandbox().start(["logs", "-f", "followed"]);
  const text = new Response(follower.stdout as ReadableStream).text();
  await Bun.write(gate, "");
  expect(await text).toBe("before\nafter\n");
  expect(await follower.exited).toBe(0);
});

test("a background job's exit code is recorded by its parent", async () => {
  await sandbox().run(["run", "-d", "--job-id", "failing", "--", "sh", "-c", "exit 17"]);
  expect(await sandbox().resultOf("failing")).toMatchObject({ exit_code: 17, exit_evidence: "parent" });
});

test("run -d reports a command that cannot be started, with the exit code of run", async () => {
  const missing = await sandbox().run(["run", "-d", "--", "no-such-command"]);
  expect(missing.code).toBe(127);
  expect(missing.stdout).toBe("");
  expect(missing.stderr).toContain("no-such-command");
  await sandbox().run(["run", "-d", "--job-id", "taken", "--", "sleep", "1000"]);
  sandbox().adopt(await sandbox().pidOf("taken"));
  const taken = await sandbox().run(["run", "-d", "--job-id", "taken", "--", "true"]);
  expect(taken.code).toBe(125);
  expect(taken.stderr).toContain("is taken by a job that still runs");
});

limitsTest("SIGKILL of the background copy stops neither the job nor its output", async () => {
  const script = "while :; do echo tick; sleep 0.02; done";
  await sandbox().run(["run", "-d", "--job-id", "left", "--cpu-quota", "50", "--", "sh", "-c", script]);
  const { pid, observer_pid: copy, log } = await sandbox().json(["inspect", "left"]);
  process.kill(copy, "SIGKILL");
  await until("the copy is dead", () => !isRunning(copy));
  const size = readFileSync(log).length;
  await until("more output arrives", () => readFileSync(log).length > size + 20);
  expect(isRunning(pid)).toBe(true);
  expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: "left", pid, observer_pid: null }]);
});

test("a second background job with the same id gets its own log", async () => {
  for (const word of ["first", "second"]) {
    await sandbox().run(["run", "-d", "--job-id", "again", "--", "echo", word]);
    await until(
      "the job has ended",
      async () => (await sandbox().json(["inspect", "again"])).state === "ended",
    );
    expect((await sandbox().run(["logs", "again"])).stdout).toBe(`${word}\n`);
  }
});

test("logs of a job that wrote to its caller's stdout says so", async () => {
  await sandbox().run(["run", "--job-id", "front", "--", "echo", "hello"]);
  const { code, stderr } = await sandbox().run(["logs", "front"]);
  expect(code).toBe(2);
  expect(stderr).toContain("only run --detach captures output");
});
