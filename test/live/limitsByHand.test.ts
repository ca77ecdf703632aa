import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { lacksLimits, testIf, useSandbox } from "../support/sandbox.ts";

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
