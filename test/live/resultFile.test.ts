import { expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { resultSchema } from "../../src/jobs/jsonSchemas.ts";
import { FFRTMP, isRunning, lacksCommand, lacksRoot, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const rootTest = testIf(lacksRoot());

test("run --result-file writes the result of the job, while stderr belongs to the workload too", async () => {
  const path = sandbox().path("result.json");
  const args = ["run", "--job-id", "done", "--tenant", "acme", "--label", "channel=7", "--result-file", path];
  const { code } = await sandbox().run([...args, "--", "sh", "-c", "echo noise >&2; exit 3"]);
  expect(code).toBe(3);
  const result = readResult(path);
  expect(result).toMatchObject({ job_id: "done", exit_code: 3, tenant: "acme", labels: { channel: "7" } });
  expect(result).toEqual((await sandbox().json(["inspect", "done"])).result);
  expect(statSync(path).mode & 0o027).toBe(0);
  expect(drafts()).toEqual([]);
});

test("the result of an earlier job is gone before the next one starts, and the new one appears as a whole", async () => {
  const path = sandbox().path("result.json");
  writeFileSync(path, "an earlier result");
  const { pid, wrapper } = await sandbox().startJob("killed", ["--result-file", path], ["sleep", "600"]);
  expect(existsSync(path)).toBe(false);
  process.kill(pid, "SIGKILL");
  expect(await wrapper.exited).toBe(137);
  expect(readResult(path)).toMatchObject({ job_id: "killed", signal: "SIGKILL", exit_code: null, pid });
});

for (const [why, command, code, flags] of [
  ["a command that does not exist", "no-such-command", 127, []],
  ["a file that is not executable", "/etc/passwd", 126, []],
  ["a working directory that does not exist", "true", 125, ["--workdir", "/no/such/directory"]],
] as const) {
  test(`the result file has the error of ${why}`, async () => {
    const path = sandbox().path("result.json");
    const args = ["run", "--job-id", "unstarted", ...flags, "--result-file", path, "--", command];
    const ended = await sandbox().run(args);
    expect(ended.code).toBe(code);
    const result = readResult(path);
    expect(result).toMatchObject({
      job_id: "unstarted",
      pid: null,
      ending: "never_started",
      exit_code: null,
    });
    expect(ended.stderr).toContain(`ffrtmp: ${result.exit_unknown_because}\n`);
  });
}

test("a result file that cannot be written is reported before anything is started", async () => {
  const box = sandbox();
  mkdirSync(box.path("directory"));
  symlinkSync("/etc/passwd", box.path("link"));
  for (const [path, reason] of [
    [box.path("missing/result.json"), "ENOENT"],
    [box.path("directory"), "it is a directory"],
    [box.path("directory/"), "it is not the name of a file"],
    [box.path("link"), "it is a symbolic link"],
    ["/dev/null", "it is a device"],
    ["/proc/result.json", "E"],
    ["", "it is not the name of a file"],
  ] as const) {
    const { code, stderr } = await box.run([
      "run",
      "--result-file",
      path,
      "--",
      "touch",
      box.path("started"),
    ]);
    expect({ path, code }).toEqual({ path, code: 125 });
    expect(stderr).toContain(`ffrtmp: cannot write the result to ${path || '""'}: ${reason}`);
  }
  expect(existsSync(box.path("started"))).toBe(false);
});

test("run -d refuses a result file, and says where the result is", async () => {
  const args = ["run", "-d", "--result-file", sandbox().path("result.json"), "--", "true"];
  const { code, stderr } = await sandbox().run(args);
  expect(code).toBe(125);
  expect(stderr).toMatch(/--result-file needs a run that waits .*\n {2}try: .*ffrtmp inspect JOB --json/);
});

test("a run that a signal ends writes no result, and says so", async () => {
  const path = sandbox().path("result.json");
  const { pid, wrapper } = await sandbox().startJob("left", ["--result-file", path], ["sleep", "600"], {
    stderr: openSync(sandbox().path("stderr"), "w"),
  });
  wrapper.kill("SIGTERM");
  expect(await wrapper.exited).toBe(143);
  expect(readFileSync(sandbox().path("stderr"), "utf8")).toContain(
    `the result of job left is not written to ${path}`,
  );
  expect(isRunning(pid)).toBe(true);
  expect(existsSync(path)).toBe(false);
});

test("the workload does not inherit the directory of the result file", async () => {
  const path = sandbox().path("result.json");
  const { pid } = await sandbox().startJob("closed", ["--result-file", path], ["sleep", "600"]);
  expect(readdirSync(`/proc/${pid}/fd`)).toEqual(["0", "1", "2"]);
});

rootTest("root writes no result through a link of another user, and follows its own", async () => {
  const box = sandbox();
  mkdirSync(box.path("target"));
  for (const name of ["own", "strange"]) symlinkSync(box.path("target"), box.path(name));
  lchownSync(box.path("strange"), 65534, 65534);
  const refused = await box.run(["run", "--result-file", box.path("strange/result.json"), "--", "true"]);
  expect(refused.code).toBe(125);
  expect(refused.stderr).toContain(`${box.path("strange")} is a link of uid 65534`);
  expect(readdirSync(box.path("target"))).toEqual([]);
  expect((await box.run(["run", "--result-file", box.path("own/result.json"), "--", "true"])).code).toBe(0);
  expect(readdirSync(box.path("target"))).toEqual(["result.json"]);
});

rootTest("a directory that is replaced while the job runs does not lead the result elsewhere", async () => {
  const box = sandbox();
  mkdirSync(box.path("results"));
  mkdirSync(box.path("elsewhere"));
  const { pid, wrapper } = await box.startJob(
    "moved",
    ["--result-file", box.path("results/result.json")],
    ["sleep", "600"],
  );
  const move = box.spawn(["mv", box.path("results"), box.path("moved")]);
  expect(await move.exited).toBe(0);
  symlinkSync(box.path("elsewhere"), box.path("results"));
  process.kill(pid, "SIGKILL");
  await wrapper.exited;
  expect(readdirSync(box.path("elsewhere"))).toEqual([]);
  expect(readResult(box.path("moved/result.json")).job_id).toBe("moved");
});

testIf(lacksRoot() ?? lacksCommand("setpriv"))(
  "an ordinary user's unwritable directory is reported",
  async () => {
    const box = sandbox();
    chmodSync(box.directory, 0o755);
    const asUser = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const state = box.path("user-state");
    mkdirSync(state, { mode: 0o777 });
    chmodSync(state, 0o777);
    const child = box.spawn(
      [
        ...asUser,
        FFRTMP,
        "run",
        "--state-path",
        `${state}/own`,
        "--result-file",
        box.path("r.json"),
        "--",
        "true",
      ],
      {},
    );
    expect(await child.exited).toBe(125);
    expect(await new Response(child.stderr as ReadableStream).text()).toContain("EACCES");
  },
);

function readResult(path: string) {
  return resultSchema.parse(JSON.parse(readFileSync(path, "utf8")));
}

function drafts(): string[] {
  return readdirSync(sandbox().directory).filter((name) => name.startsWith(".ffrtmp"));
}
