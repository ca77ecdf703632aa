import { describe, test } from "bun:test";
import type { Limits } from "../../src/limits/limits.ts";
import type { LimitOutcome } from "../../src/limits/outcome.ts";
import type { CgroupLimitName } from "../../src/limits/table.ts";
import { createJobCgroup } from "../../src/linux/cgroup/cgroupChanges.ts";
import { findJobCgroup } from "../../src/linux/cgroup/findJobCgroup.ts";
import type { Membership } from "../../src/linux/cgroup/hierarchies.ts";
import type { JobCgroup } from "../../src/linux/cgroup/jobCgroup.ts";
import { applyCgroupLimits } from "../../src/linux/cgroup/jobLimits.ts";
import { planJobCgroup } from "../../src/linux/cgroup/planJobCgroup.ts";
import { type CgroupMachine, directoryIn, type MachineChoice } from "./cgroupMachines.ts";

export const JOB_NAME = "ffrtmp-test-job";

const MIB = 1024 * 1024;

/** One limit of each kind that a small machine supports. */
export const LIMITS: Limits = {
  cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 },
  cpuWeight: 50,
  memoryHighBytes: 64 * MIB,
  memoryMaxBytes: 128 * MIB,
  pidsMax: 64,
  cpus: "0",
};

export const V1_IO_FILES = ["read_bps", "write_bps", "read_iops", "write_iops"].map(
  (rate) => `blkio.throttle.${rate}_device`,
);

/** The limit files of all controllers. */
const LIMIT_FILES = {
  1: [
    ...["cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares", "pids.max", "cpuset.cpus"],
    ...["memory.soft_limit_in_bytes", "memory.limit_in_bytes", ...V1_IO_FILES],
  ],
  2: ["cpu.max", "cpu.weight", "memory.high", "memory.max", "pids.max", "cpuset.cpus", "io.max"],
};

/** Creates a job's cgroup below `origin`, as `run` and `attach` do. */
export function makeJob(
  machine: CgroupMachine,
  limits: Limits,
  name = JOB_NAME,
  origin = machine.origin,
  shared: () => ReadonlySet<string> = () => new Set(),
): JobCgroup {
  const job = planJobCgroup(machine.fs, machine.hierarchies, origin, { name, limits, shared });
  createJobCgroup(job);
  return job;
}

/** Sets limits of a cgroup outside any job, as an operator, a slice or a container runtime would. */
export function limitFromOutside(machine: CgroupMachine, where: Membership, limits: Limits): void {
  const cgroup = machine.hierarchies.map((hierarchy) => ({
    hierarchy: hierarchy.key,
    path: directoryIn(hierarchy, where),
  }));
  const group = findJobCgroup(machine.fs, machine.hierarchies, { cgroup, changes: [] });
  const refused = applyCgroupLimits(group, limits).filter(({ outcome }) => outcome === "refused");
  if (refused.length > 0) throw new Error(JSON.stringify(refused));
}

/** Reads the limit files of a job's cgroup that exist, by name. */
export function limitFiles(machine: CgroupMachine, job: JobCgroup): Record<string, string> {
  return Object.fromEntries(
    job.directories.flatMap(({ path }) =>
      LIMIT_FILES[machine.version]
        .filter((file) => machine.fs.exists(`${path}/${file}`))
        .map((file) => [file, machine.fs.read(`${path}/${file}`).trim()]),
    ),
  );
}

/**
 * Lists the directories below the machine's test cgroup, and the controllers that each enables for its
 * children.
 */
export function listAll(machine: CgroupMachine): string[] {
  const list = (directory: string): string[] => {
    const control = `${directory}/cgroup.subtree_control`;
    const gives = machine.fs.exists(control) ? ` gives ${machine.fs.read(control).trim()}` : "";
    return [
      `${directory}${gives}`,
      ...machine.fs
        .children(directory)
        .sort()
        .flatMap((child) => list(`${directory}/${child}`)),
    ];
  };
  return machine.hierarchies.flatMap((hierarchy) => list(directoryIn(hierarchy, machine.base)));
}

export function outcomeOf(outcomes: LimitOutcome[], limit: CgroupLimitName): LimitOutcome {
  const outcome = outcomes.find((each) => each.limit === limit);
  if (!outcome) throw new Error(`no outcome for ${limit} in ${JSON.stringify(outcomes)}`);
  return outcome;
}

type Act = (machine: CgroupMachine) => void | Promise<void>;
type ActWithDisk = (machine: CgroupMachine, disk: string) => void | Promise<void>;

/**
 * Defines tests on one kind of machine. Skips them with the reason where there is no such machine, and those
 * that `itWithDisk` defines where the machine has no disk to throttle.
 */
export function describeOn(
  choice: MachineChoice,
  title: string,
  define: (
    it: (title: string, act: Act) => void,
    itWithDisk: (title: string, act: ActWithDisk) => void,
  ) => void,
): void {
  const { name: machineName, missing, disk } = choice;
  if (missing !== undefined) console.log(`not tried: ${title} on ${machineName}: ${missing}`);
  describe.skipIf(missing !== undefined)(`${title} on ${machineName}`, () => {
    define(
      (name, act) => {
        test(name, async () => {
          await using machine = choice.open();
          await act(machine);
        });
      },
      (name, act) => {
        if (disk === undefined)
          console.log(`not tried: ${name} on ${machineName}: there is no disk to throttle`);
        test.skipIf(disk === undefined)(name, async () => {
          await using machine = choice.open();
          await act(machine, disk as string);
        });
      },
    );
  });
}
