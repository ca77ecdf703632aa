import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { directoryOf, readMembership } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import {
  findDirectories,
  hierarchyOf,
  isRunning,
  lacksLimits,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

limitsTest(
  "limits set changes a running job and is recorded in its result, and limits reset undoes the change",
  async () => {
    const { jobId, wrapper, pid } = await sandbox().startJob(
      "tuned",
      ["--cpu-quota", "50"],
      ["sh", "-c", "read line"],
      { stdin: "pipe" },
    );
    const set = await sandbox().run(["limits", "set", jobId, "--cpu-quota", "20", "--pids-max", "30"]);
    expect(set).toEqual({
      code: 0,
      stdout: "cpu.max   applied 20000 100000\npids.max  applied 30\n",
      stderr: "",
    });
    expect(await quota(jobId)).toBe("20000");
    expect(await sandbox().json(["inspect", jobId])).toMatchObject({
      limits_by_hand: [
        { limit: "cpu.max", wanted: "20000 100000" },
        { limit: "pids.max", wanted: "30" },
      ],
      events: [{ kind: "limits_changed", detail: { because: "by hand" } }],
    });

    expect((await sandbox().run(["limits", "reset", jobId])).stdout).toBe("cpu.max  applied 50000 100000\n");
    expect(await quota(jobId)).toBe("50000");
    await sandbox().run(["limits", "set", jobId, "--cpu-quota", "30"]);
    (wrapper.stdin as { end(): void }).end();
    await wrapper.exited;
    expect(existsSync(`/proc/${pid}`)).toBeFalse();
    // The wrapper started before the change, and wrote the result.
    expect((await sandbox().resultOf(jobId)).limits).toMatchObject([{ actual: "30000 100000" }]);
  },
);

limitsTest("limits set adds a limit that the job did not have, and limits reset removes it", async () => {
  const { jobId, pid } = await sandbox().startJob("pinned", [], ["sleep", "600"]);
  const before = allowedCpus(pid);
  const { limits } = await sandbox().json(["limits", "set", jobId, "--cpus", "0", "--nice", "3"]);
  expect(limits).toMatchObject([{ limit: "cpuset.cpus" }, { limit: "nice", outcome: "applied" }]);
  expect(allowedCpus(pid)).toBe("0");
  await sandbox().run(["limits", "reset", jobId]);
  expect(allowedCpus(pid)).toBe(before);
  expect((await sandbox().json(["inspect", jobId])).limits).toEqual([]);
});

limitsTest(
  "limits set lifts a limit of the caller until it is reset, and shows what is in force",
  async () => {
    const { jobId, pid } = await sandbox().startJob("freed", ["--cpu-quota", "50"], ["sleep", "600"]);
    await sandbox().run(["limits", "set", jobId, "--cpu-quota", "20", "--pids-max", "30"]);
    for (const none of ["max", "unlimited", "0"]) {
      const { code, stdout } = await sandbox().run(["limits", "set", jobId, "--cpu-quota", none]);
      expect({ none, code, stdout }).toEqual({
        none,
        code: 0,
        stdout: "pids.max  applied 30\ncpu.max   no limit by ffrtmp\n",
      });
      // It has left its cgroup there.
      expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toMatch(/:cpu(,cpuacct)?:(?!.*ffrtmp-)/);
    }
    expect((await sandbox().run(["inspect", jobId])).stdout).toMatch(
      /^set by hand +cpu.max max, pids.max 30$/m,
    );
    const lifted = await sandbox().json(["limits", "set", jobId, "--pids-max", "max"]);
    expect(lifted.lifted).toEqual([{ limit: "pids.max", in_force: null }]);
    expect(lifted.limits_by_hand).toEqual([
      { limit: "cpu.max", wanted: "max" },
      { limit: "pids.max", wanted: "max" },
    ]);
    await sandbox().run(["limits", "reset", jobId]);
    expect(await quota(jobId)).toBe("50000");
  },
);

limitsTest("a lifted limit leaves that of a cgroup above in force, and shows it", async () => {
  const membership = readMembership(realHost(), "self");
  const cpu = hierarchyOf("cpu");
  const own = membership === "gone" ? undefined : directoryOf(cpu, membership.get(cpu.key) ?? "");
  const outer = `${own}/test-${sandbox().tag}`;
  mkdirSync(outer);
  const { pid } = sandbox().spawn(["sleep", "600"]);
  try {
    writeFileSync(`${outer}/cpu.cfs_quota_us`, "20000");
    writeFileSync(`${outer}/cgroup.procs`, String(pid));
    const observer = sandbox().start([
      "attach",
      "--pid",
      String(pid),
      "--job-id",
      "within",
      "--cpu-quota",
      "10",
    ]);
    await sandbox().pidOf("within");
    expect(await sandbox().run(["limits", "set", "within", "--cpu-quota", "max"])).toMatchObject({
      code: 0,
      stdout: "cpu.max  no limit by ffrtmp; in force: 20000 100000\n",
    });
    process.kill(pid, "SIGKILL");
    await observer.exited;
  } finally {
    if (isRunning(pid)) process.kill(pid, "SIGKILL");
    await until("the cgroup of the test is removed", () => {
      for (const path of [...findDirectories(outer, "ffrtmp-"), outer]) rmdirSync(path);
      return true;
    });
  }
});

limitsTest("limits set and reset change several jobs, by id, PID and pattern, each once", async () => {
  const [first, second] = [
    await sandbox().startJob("batch-1", [], ["sleep", "600"]),
    await sandbox().startJob("batch-2", [], ["sleep", "600"]),
  ];
  await sandbox().startJob("other", [], ["sleep", "600"]);
  const names = ["batch-*", String(second?.pid), "batch-1"];
  expect(await sandbox().run(["limits", "set", ...names, "--cpu-quota", "30"])).toEqual({
    code: 0,
    stdout: expect.stringMatching(
      /^batch-1 {2}cpu\.max applied 30000 100000.*\nbatch-2 {2}cpu\.max applied 30000 100000.*\n$/,
    ),
    stderr: "",
  });
  expect((await sandbox().json(["inspect", "other"])).limits).toEqual([]);
  expect(first && (await quota(first.jobId))).toBe("30000");
  const changed = await sandbox().json(["limits", "reset", "batch-?"]);
  expect(changed).toMatchObject([
    { job_id: "batch-1", limits: [] },
    { job_id: "batch-2", limits: [] },
  ]);
});

limitsTest("limits set changes the other jobs when it cannot change one, and exits with 2", async () => {
  await sandbox().startJob("there", [], ["sleep", "600"]);
  const { code, stdout, stderr } = await sandbox().run([
    ...["limits", "set", "missing", "there", "no-*", "--pids-max", "30"],
  ]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "there  pids.max applied 30\n" });
  expect(stderr).toContain("there is no job missing in ");
  expect(stderr).toContain("no open job matches no-*");
  const entries = await sandbox().json(["limits", "set", "missing", "there", "--pids-max", "40"]);
  expect(entries).toMatchObject([
    { job_id: "missing", error: expect.stringContaining("there is no job missing") },
    { job_id: "there", limits: [{ limit: "pids.max", outcome: "applied", actual: "40" }] },
  ]);
});

limitsTest("limits set exits with 2 when the kernel refuses a limit, and still sets the others", async () => {
  const { jobId } = await sandbox().startJob("partly", [], ["sleep", "600"]);
  const { code, stdout } = await sandbox().run([
    "limits",
    "set",
    jobId,
    "--cpus",
    "4000",
    "--pids-max",
    "30",
  ]);
  expect(code).toBe(2);
  expect(stdout).toMatch(/^pids\.max +applied 30$/m);
  expect(stdout).toMatch(/^cpuset\.cpus +(refused|unsupported)/m);
  // An earlier refusal does not count against a later request.
  expect((await sandbox().run(["limits", "set", jobId, "--pids-max", "31"])).code).toBe(0);
});

test("limits set reports what it cannot change, and changes nothing", async () => {
  await sandbox().run(["run", "--job-id", "over", "--", "true"]);
  const cases: [string[], RegExp][] = [
    [["limits", "set", "nobody", "--pids-max", "5"], /there is no job nobody in /],
    [["limits", "set", "over", "--pids-max", "5"], /job over has already ended/],
    [["limits", "reset", "over"], /job over has already ended/],
    [["limits", "set", "over"], /no limit given\n {2}try: ffrtmp limits set --help/],
    [["limits", "set", "over", "--pids-max", "0"], /--pids-max/],
    [["limits", "set"], /missing required argument 'job'\n.*try: ffrtmp limits set --help/],
    [["limits", "grow", "over"], /unknown command 'grow'/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await sandbox().run(args);
    expect(stderr).toMatch(message);
    expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: "" });
  }
});

async function quota(jobId: string): Promise<string> {
  const directory = await sandbox().cgroupOf(jobId, "cpu");
  return readFileSync(`${directory}/cpu.cfs_quota_us`, "utf8").trim();
}

function allowedCpus(pid: number): string | undefined {
  return /^Cpus_allowed_list:\s(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
}
