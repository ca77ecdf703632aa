import { expect, test } from "bun:test";
import { openSync } from "node:fs";
import { expectMessage, runScript } from "../support/badInput.ts";
import { useSandbox, withoutForeignJobs } from "../support/sandbox.ts";

const sandbox = useSandbox();

test("a list that cannot be written to stdout completely is reported as a failure", async () => {
  await sandbox().run(["run", "--job-id", "listed", "--", "true"]);
  for (const args of ["ps", "ps --json", "history", "history --json", "inspect listed", "--help", "doctor"]) {
    const { code, stderr } = await runScript(sandbox(), `exec "$F" ${args} > /dev/full`);
    expect(code).toBe(1);
    expectMessage(stderr, [/cannot write to stdout \(ENOSPC\): the output is incomplete/]);
  }
});

test("commands exit normally when their stdout or stderr is closed", async () => {
  await sandbox().run(["run", "--job-id", "listed", "--", "true"]);
  await sandbox().startJob("running", [], ["sleep", "1000"]);
  for (const args of ["ps", "history", "inspect listed", "--version"]) {
    for (const closed of [">&-", "2>&-", "<&-", "<&- >&- 2>&-"]) {
      const { code, stderr } = await runScript(sandbox(), `exec "$F" ${args} ${closed}`);
      const messages = withoutForeignJobs(stderr);
      expect({ args, closed, code, messages }).toEqual({ args, closed, code: 0, messages: "" });
    }
  }
});

test("run returns the workload's exit code when any of its stdio is closed or full", async () => {
  for (const stdio of [
    ">&-",
    "2>&-",
    "<&-",
    "<&- >&- 2>&-",
    "2>/dev/full",
    ">/dev/full",
    ">/dev/full 2>&1",
  ]) {
    const { code } = await runScript(sandbox(), `exec "$F" run --cpu-quota 50 -- sh -c 'exit 3' ${stdio}`);
    expect({ stdio, code }).toEqual({ stdio, code: 3 });
  }
  expect(await sandbox().json(["history"])).toHaveLength(7);
});

test("bad input has its exit code when the message cannot be written", async () => {
  for (const [args, expected] of [
    ["no-such-command", 2],
    ["inspect never-was", 2],
    ["run --cpu-quota -1 -- true", 125],
    ["run -- no-such-command", 127],
    ["run --detach -- no-such-command", 127],
  ] as const) {
    for (const stderr of ["2>&-", "2>/dev/full"]) {
      const { code } = await runScript(sandbox(), `exec "$F" ${args} ${stderr}`);
      expect({ args, stderr, code }).toEqual({ args, stderr, code: expected });
    }
  }
});

test("run --detach that cannot print the job id reports that the job has started", async () => {
  const { code, stderr } = await runScript(
    sandbox(),
    `exec "$F" run --detach --job-id silent -- true > /dev/full`,
  );
  expect(code).toBe(125);
  expectMessage(stderr, [/cannot write to stdout \(ENOSPC\)/]);
  expect(await sandbox().resultOf("silent")).toMatchObject({ exit_code: 0 });
});

test("a reader that closes the pipe early is no error", async () => {
  await sandbox().run(["run", "--detach", "--job-id", "long", "--", "sh", "-c", "yes | head -c 1000000"]);
  await sandbox().resultOf("long");
  for (const args of ["logs long", "logs long --follow", "history", "inspect long"]) {
    const { code, stdout, stderr } = await runScript(
      sandbox(),
      `{ "$F" ${args}; echo $? > code; } | head -c 1; exit $(cat code)`,
    );
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: "" });
    expect(stdout).toHaveLength(1);
  }
});

test("logs prints byte for byte, and fails when its output goes to a full disk", async () => {
  await sandbox().run([
    "run",
    "--detach",
    "--job-id",
    "bytes",
    "--",
    "sh",
    "-c",
    "printf '\\377\\000\\n'; printf err >&2",
  ]);
  await sandbox().resultOf("bytes");
  const out = sandbox().path("out");
  const { code } = await sandbox().run(["logs", "bytes"], { stdout: openSync(out, "w") });
  expect(code).toBe(0);
  expect([...(await Bun.file(out).bytes())]).toEqual([0xff, 0, 0x0a, ...Buffer.from("err")]);
  const full = await runScript(sandbox(), 'exec "$F" logs bytes > /dev/full');
  expect(full.code).toBe(1);
  expectMessage(full.stderr, [/cannot write to stdout \(ENOSPC\)/]);
});

test("logs of a job whose log was removed names the missing file", async () => {
  await sandbox().run(["run", "--detach", "--job-id", "bytes", "--", "true"]);
  await sandbox().resultOf("bytes");
  const { log } = await sandbox().json(["inspect", "bytes"]);
  await Bun.file(log).delete();
  const { code, stdout, stderr } = await sandbox().run(["logs", "bytes"]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expectMessage(stderr, [/cannot read the log \/\S+\.log: ENOENT \(no such file\)$/m]);
});

test("the background copy observes its job although the waiting caller has died", async () => {
  const { code } = await runScript(
    sandbox(),
    `{ while [ ! -e left ]; do sleep 0.01; done
      "$F" run --report-start 3 --job-id left -- sh -c 'exit 3' 3>&1 > copy.log 2>&1; echo $? > code
    } | { exec 0<&-; touch left; }
    exit $(cat code)`,
  );
  expect(code).toBe(3);
  const { result } = await sandbox().json(["inspect", "left"]);
  expect(result).toMatchObject({ exit_code: 3, exit_evidence: "parent" });
});
