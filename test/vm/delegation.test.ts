import { expect } from "bun:test";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { createJobCgroup, removeJobCgroup } from "../../src/linux/cgroup/cgroupChanges.ts";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { applyCgroupLimits } from "../../src/linux/cgroup/jobLimits.ts";
import { planJobCgroup } from "../../src/linux/cgroup/planJobCgroup.ts";
import { realHost } from "../../src/linux/host.ts";
import { JOB_NAME } from "../support/cgroupJobs.ts";
import { until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";

const LIMITS = { memoryMaxBytes: 64 << 20, pidsMax: 20 };
const sandbox = useSandbox();

vmTest(
  "controllers are enabled from a delegated scope down to the job, and disabled at its end",
  async () => {
    const unit = `ffrtmp-test-delegated-${process.pid}`;
    const scope = `/sys/fs/cgroup/system.slice/${unit}.scope`;
    const owner = sandbox().spawn([
      ...["systemd-run", "--scope", "--quiet", "--unit", unit, "--property", "Delegate=yes"],
      ...["sleep", "1000"],
    ]);
    const membership = (): string => readFileSync(`/proc/${owner.pid}/cgroup`, "utf8");
    await until("the owner is in its scope", () => membership().includes(unit));
    // As a container engine does: the processes are in a leaf, so that the scope can give controllers to its
    // children.
    for (const name of ["leaf", "a", "a/b"]) mkdirSync(`${scope}/${name}`);
    writeFileSync(`${scope}/leaf/cgroup.procs`, String(owner.pid));
    try {
      const host = realHost();
      const origin = new Map([["", `/system.slice/${unit}.scope/a/b`]]);
      const job = planJobCgroup(host.cgroupFs, readHierarchies(host), origin, {
        name: JOB_NAME,
        limits: LIMITS,
      });
      createJobCgroup(job);
      expect(applyCgroupLimits(job, LIMITS)).toMatchObject([
        { limit: "memory.max", outcome: "applied" },
        { limit: "pids.max", outcome: "applied" },
      ]);
      expect(removeJobCgroup(job)).toEqual([]);
      for (const each of [scope, `${scope}/a`, `${scope}/a/b`])
        expect(readFileSync(`${each}/cgroup.subtree_control`, "utf8").trim()).toBe("");
    } finally {
      for (const name of ["a/b", "a"]) rmdirSync(`${scope}/${name}`);
      owner.kill("SIGKILL");
      await owner.exited;
    }
  },
);
