import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { lacksRoot, testIf, until, useSandbox } from "../support/sandbox.ts";

// `--once`: a job id starts one workload, however often and by however many it is tried.

const sandbox = useSandbox();

/** Returns a command that records that it has started. */
function recordStart(): string[] {
  return ["--", "sh", "-c", `echo started >> ${sandbox().path("starts")}`];
}

function starts(): number {
  const file = sandbox().path("starts");
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0;
}

test("twenty runs with one id at the same time start one workload, on a new ledger", async () => {
  const tries = Array.from({ length: 20 }, () =>
    sandbox().run(["run", "--once", "--job-id", "a", ...recordStart()]),
  );
  const ended = await Promise.all(tries);
  expect(starts()).toBe(1);
  expect(ended.filter(({ code }) => code === 0)).toHaveLength(1);
  const refused = ended.filter(({ code }) => code === 125);
  expect(refused).toHaveLength(19);
  for (const { stderr } of refused)
    expect(stderr).toMatch(/^ffrtmp: (--once refuses the job id a: it was used|job a is not started)/m);
  expect(await sandbox().json(["history"])).toMatchObject([{ job_id: "a", exit_code: 0 }]);
});

test("an id that was used is refused, with what became of its job", async () => {
  const once = (...words: string[]) => sandbox().run([...words, "--once", "--job-id", "a", ...recordStart()]);
  await sandbox().run(["run", "--job-id", "a", "--", "sh", "-c", "exit 3"]);
  const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`;
  for (const words of [["run"], ["run", "--detach"], ["exec"]])
    expect(await once(...words)).toEqual({
      code: 125,
      stdout: "",
      stderr: expect.stringMatching(
        new RegExp(
          `^ffrtmp: --once refuses the job id a: it was used at ${time} by a job that ended at ${time} \\(failed, exit 3\\)\n` +
            "  try: choose another --job-id, or see: ffrtmp inspect a\n$",
        ),
      ),
    });
  const { pid } = await sandbox().startJob("b", [], ["sleep", "1000"]);
  const { code, stderr } = await sandbox().run(["run", "--once", "--job-id", "b", ...recordStart()]);
  expect([code, stderr]).toEqual([125, expect.stringContaining(`by a job that runs as PID ${pid}`)]);
  expect(starts()).toBe(0);
  // Without the option, an id can be used again.
  expect((await sandbox().run(["run", "--job-id", "a", ...recordStart()])).code).toBe(0);
});

test("the id of a plain launch, and of a job whose record is deleted, is refused too", async () => {
  const once = (jobId: string) => sandbox().run(["run", "--once", "--job-id", jobId, ...recordStart()]);
  // A launch that repeats an earlier one is recorded in the inbox. None does while the machine changes.
  await until("a launch is repeated", async () => {
    await sandbox().run(["run", "--", "true"]);
    return readdirSync(`${sandbox().state}/inbox`).length === 1;
  });
  const [{ job_id: plain }] = await sandbox().json(["history"]);
  expect((await once(plain)).code).toBe(125);
  expect((await once("a")).code).toBe(0);
  await sandbox().run(["prune", "--older-than", "0s"]);
  expect(await sandbox().json(["history"])).toEqual([]);
  const { code, stderr } = await once("a");
  expect([code, stderr]).toEqual([125, expect.stringContaining("by a job whose record is deleted")]);
  expect(starts()).toBe(1);
});

test("a refused try leaves the result file to the try that has started the workload", async () => {
  const file = sandbox().path("result.json");
  const once = (jobId: string, ...command: string[]) =>
    sandbox().run(["run", "--once", "--job-id", jobId, "--result-file", file, "--", ...command]);
  const result = () => JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, "an earlier result");
  // The first one finds it gone.
  expect((await once("a", "sh", "-c", `test ! -e ${file} && exit 3`)).code).toBe(3);
  expect((await once("a", "sh", "-c", "exit 3")).code).toBe(125);
  expect((await once("a", "no-such-command")).code).toBe(127);
  expect(result()).toMatchObject({ job_id: "a", exit_code: 3 });
  const script = sandbox().path("script");
  writeFileSync(script, "echo no first line\n", { mode: 0o755 });
  expect((await once("b", script)).code).toBe(126);
  expect(result()).toMatchObject({ job_id: "b", ending: "never_started" });
});

test("a job of exec that the kernel did not execute is named as never started", async () => {
  const script = sandbox().path("script");
  writeFileSync(script, "echo no first line\n", { mode: 0o755 });
  const once = (command: string) => sandbox().run(["exec", "--once", "--job-id", "a", "--", command]);
  expect((await once(script)).code).toBe(126);
  const { code, stderr } = await once("true");
  expect([code, stderr]).toEqual([125, expect.stringContaining("by a job that was never started: ")]);
});

test("a generated id is refused, and nothing is started", async () => {
  for (const command of ["run", "exec"]) {
    const { code, stderr } = await sandbox().run([command, "--once", ...recordStart()]);
    expect([code, stderr]).toEqual([125, expect.stringContaining("--once needs a --job-id")]);
  }
  expect(starts()).toBe(0);
});

testIf(lacksRoot())("nothing is started where the start cannot be recorded", async () => {
  sandbox().mountState("2M");
  await sandbox().run(["run", "--job-id", "first", "--", "true"]);
  const filler = `${sandbox().state}/filler`;
  await sandbox().spawn(["dd", "if=/dev/zero", `of=${filler}`, "bs=4k"]).exited;
  const once = ["run", "--once", "--job-id", "a", ...recordStart()];
  const { code, stderr } = await sandbox().run(once);
  expect(stderr).toMatch(
    /^ffrtmp: job a is not started, because --once needs its record, and the ledger cannot be written: /m,
  );
  // Who follows the advice to use another directory could start it twice.
  expect(stderr).toContain("Another directory does not know which ids were used with this one");
  expect([code, starts()]).toEqual([125, 0]);
  // A job without the option runs all the same.
  expect((await sandbox().run(["run", "--job-id", "b", ...recordStart()])).code).toBe(0);
  writeFileSync(filler, "");
  expect((await sandbox().run(once)).code).toBe(0);
  await until("both have run", () => starts() === 2);
});
