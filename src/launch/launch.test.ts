import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import fc from "fast-check";
import {
  inboxLines,
  LaunchMachine,
  type LaunchRequest,
  type MachineKind,
} from "../../test/support/launchMachines.ts";

const KINDS: MachineKind[] = ["v1", "v1 together", "v2 at the root", "v2 beside", "v2 in a service"];

const QUOTA: LaunchRequest = {
  words: ["--cpu-quota", "100"],
  limits: { cpuMax: { quotaUsec: 100_000, periodUsec: 100_000 } },
};

/** The options of a launch, of which each has its words and its limit. */
const requestsOn = (kind: MachineKind) =>
  fc
    .record(
      {
        quota: fc.integer({ min: 1, max: 400 }),
        weight: fc.integer({ min: 1, max: 10_000 }),
        memoryMiB: fc.integer({ min: 1, max: 4096 }),
        ...(kind.startsWith("v2") ? { pids: fc.integer({ min: 1, max: 1000 }) } : {}),
        cpus: fc.constantFrom("0", "1-2", "0-3"),
      },
      { requiredKeys: [] },
    )
    .map(({ quota, weight, memoryMiB, pids, cpus }): LaunchRequest => {
      const words: string[] = [];
      const limits: LaunchRequest["limits"] = {};
      if (quota !== undefined) {
        words.push("--cpu-quota", String(quota));
        limits.cpuMax = { quotaUsec: quota * 1000, periodUsec: 100_000 };
      }
      if (weight !== undefined) {
        words.push("--cpu-weight", String(weight));
        limits.cpuWeight = weight;
      }
      if (memoryMiB !== undefined) {
        words.push("--memory-max", String(memoryMiB * 1024 ** 2));
        limits.memoryMaxBytes = memoryMiB * 1024 ** 2;
      }
      if (pids !== undefined) {
        words.push("--pids-max", String(pids));
        limits.pidsMax = pids;
      }
      if (cpus !== undefined) {
        words.push("--cpus", cpus);
        limits.cpus = cpus;
      }
      return { words, limits };
    });

test.each(KINDS)(
  "a launch is repeated with the same cgroups, record and outcomes on %s",
  (kind) => {
    fc.assert(
      fc.property(requestsOn(kind), (request) => {
        using machine = new LaunchMachine(kind);
        using other = new LaunchMachine(kind, machine.state);
        const job = machine.launch(request);
        const launch = other.repeat(request);
        if (launch === undefined) throw new Error("the launch was not repeated");
        const { plain } = launch;
        expect(launch.isRecorded).toBe(true);
        expect(other.tree(plain.job.jobId)).toEqual(machine.tree(job.jobId));
        expect(other.begunIn).toEqual(machine.begunIn);
        expect(other.facts(plain.job)).toEqual(machine.facts(job) as object);
        expect(inboxLines(launch)).toMatchObject([
          { version: 1, job: { jobId: plain.job.jobId, state: "starting", process: null, outcomes: [] } },
          { running: { process: { pid: 4711, startTicks: 99 }, outcomes: plain.job.outcomes } },
        ]);
        expect([...machine.warnings, ...other.warnings]).toEqual([]);
      }),
      { numRuns: 40 },
    );
  },
  60_000,
);

test.each(KINDS.slice(0, 2))("a limit of processes on %s is planned each time", (kind) => {
  using machine = new LaunchMachine(kind);
  const request = { words: ["--pids-max", "10"], limits: { pidsMax: 10 } };
  // It is finished after the spawn, when nothing can be undone.
  machine.launch(request);
  expect(readdirSync(machine.state)).not.toContain("launches");
  expect(machine.repeat(request)).toBeUndefined();
});

test.each(KINDS)("no thread that the runtime starts meanwhile stays in the job's cgroup on %s", (kind) => {
  using machine = new LaunchMachine(kind);
  using planned = new LaunchMachine(kind);
  using repeated = new LaunchMachine(kind, machine.state);
  machine.launch(QUOTA);
  for (const each of [planned, repeated]) each.startsThread = true;
  planned.launch(QUOTA);
  expect(repeated.repeat(QUOTA)).toBeDefined();
  for (const each of [planned, repeated]) {
    expect(each.started).toHaveLength(kind.startsWith("v1") ? 2 : 1);
    for (const tid of [process.pid, ...each.started])
      expect(each.cgroupOf(tid)).toBe(machine.cgroupOf(process.pid));
    expect(each.warnings).toEqual([]);
  }
});

test.each(KINDS)("nothing is left of a launch on %s that starts a thread, but no workload", (kind) => {
  using machine = new LaunchMachine(kind);
  using other = new LaunchMachine(kind, machine.state);
  machine.launch(QUOTA);
  other.startsThread = true;
  other.refusesProcesses = true;
  const before = Object.keys(other.tree());
  expect(other.repeat(QUOTA)).toBeUndefined();
  expect(other.started.length).toBeGreaterThan(0);
  expect(Object.keys(other.tree())).toEqual(before);
  expect(readdirSync(`${machine.state}/inbox`)).toEqual([]);
});

/** A change of the machine between the recorded launch and the next one. */
const CHANGES: [name: string, change: (machine: LaunchMachine) => void][] = [
  ["a tighter quota of the caller", (machine) => setQuota(machine)],
  [
    "no right to make a cgroup",
    (machine) => forEachCaller(machine, (path) => machine.fake.setAccess("denied", path)),
  ],
  [
    "a read-only tree",
    (machine) => forEachCaller(machine, (path) => machine.fake.setAccess("read-only", path)),
  ],
  [
    "no right to make a cgroup in the last hierarchy",
    (machine) => {
      const isLast = ({ key }: { key: string }): boolean => key === "" || key.split(",").includes("pids");
      const { key } = machine.fake.hierarchies.find(isLast) as { key: string };
      machine.fake.setAccess("denied", parentOf(machine, machine.callerIn(key)));
    },
  ],
];

for (const kind of KINDS) {
  test.each(CHANGES)(`nothing is left of a launch that finds %s on ${kind}`, (_name, change) => {
    using machine = new LaunchMachine(kind);
    using other = new LaunchMachine(kind, machine.state);
    machine.launch(QUOTA);
    change(other);
    const [before, place] = [other.tree(), other.cgroupOf(process.pid)];
    expect(other.repeat(QUOTA)).toBeUndefined();
    expect(other.tree()).toEqual(before);
    expect(other.begunIn).toEqual([]);
    expect(other.cgroupOf(process.pid)).toBe(place);
    expect(readdirSync(`${machine.state}/inbox`)).toEqual([]);
  });
}

/** Repeats a launch on a new machine on which one call of a `CgroupFs` fails. */
function repeatWithFault(machine: LaunchMachine, kind: MachineKind, failing: number) {
  using other = new LaunchMachine(kind, machine.state);
  const before = other.tree();
  const fs = { ...other.fake.fs };
  let calls = 0;
  for (const call of ["mkdir", "write", "read"] as const) {
    const real = fs[call] as (...words: string[]) => never;
    other.fake.fs[call] = (...words: string[]) => {
      if (calls++ === failing) throw Object.assign(new Error("EIO"), { code: "EIO" });
      return real(...words);
    };
  }
  const launch = other.repeat(QUOTA);
  Object.assign(other.fake.fs, fs);
  return { launch, isUnchanged: Bun.deepEquals(other.tree(), before), begun: other.begunIn.length };
}

test.each(KINDS)("whichever call of a launch fails on %s, everything is undone", (kind) => {
  using machine = new LaunchMachine(kind);
  machine.launch(QUOTA);
  let failing = 0;
  let attempt = repeatWithFault(machine, kind, failing);
  for (; attempt.launch === undefined; attempt = repeatWithFault(machine, kind, ++failing)) {
    expect({ failing, ...attempt }).toEqual({ failing, launch: undefined, isUnchanged: true, begun: 0 });
    expect(readdirSync(`${machine.state}/inbox`)).toEqual([]);
  }
  // Every call before the spawn has failed once. One after it only warns.
  expect(failing).toBeGreaterThan(5);
  expect(attempt.begun).toBe(1);
});

test("a launch in a scope starts one with the properties of the recorded one", () => {
  using machine = new LaunchMachine("v2 in a service");
  using other = new LaunchMachine("v2 in a service", machine.state);
  const { jobId } = machine.launch(QUOTA);
  const repeated = other.repeat(QUOTA)?.plain.job.jobId ?? "";
  const plain = (started: unknown, id: string): unknown =>
    JSON.parse(JSON.stringify(started).replaceAll(id, "JOB"));
  expect(other.scopes).toHaveLength(1);
  expect(plain(other.scopes, repeated)).toEqual(plain(machine.scopes, jobId));
});

test("a launch whose scope systemd refuses is left to the full program, which says why", () => {
  using machine = new LaunchMachine("v2 in a service");
  using other = new LaunchMachine("v2 in a service", machine.state);
  machine.launch(QUOTA);
  other.refusesScopes = true;
  const before = other.tree();
  expect(other.repeat(QUOTA)).toBeUndefined();
  expect(other.tree()).toEqual(before);
  expect(readdirSync(`${machine.state}/inbox`)).toEqual([]);
});

function setQuota(machine: LaunchMachine): void {
  const { fs, hierarchies } = machine.fake;
  const { key, version } = hierarchies.find(({ controllers }) =>
    controllers.includes("cpu"),
  ) as (typeof hierarchies)[0];
  const caller = machine.callerIn(key);
  if (version === 1) fs.write(`${caller}/cpu.cfs_quota_us`, "50000");
  else if (fs.exists(`${caller}/cpu.max`)) fs.write(`${caller}/cpu.max`, "50000 100000");
  else fs.write(`${caller}/cgroup.subtree_control`, "-cpu");
}

function forEachCaller(machine: LaunchMachine, act: (path: string) => void): void {
  for (const { key } of machine.fake.hierarchies) act(parentOf(machine, machine.callerIn(key)));
}

/** On v2 the job is beside the caller. */
function parentOf(machine: LaunchMachine, caller: string): string {
  const isRoot = machine.fake.hierarchies.some(({ mountPoint }) => mountPoint === caller);
  const isV2 = machine.fake.hierarchies[0]?.version === 2;
  return isV2 && !isRoot ? caller.slice(0, caller.lastIndexOf("/")) : caller;
}
