import { expect, test } from "bun:test";
import { makeUsable } from "../../../test/support/cgroupMachines.ts";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { detach } from "../attach/detach.ts";
import { recordExit } from "../exit/recordExit.ts";
import type { RunningJob } from "../model/job.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { applyGates } from "./gates.ts";

const { openHybridOwner } = useGovernedFakes();
const CPU = "/sys/fs/cgroup/cpu";
const BOX = "/docker/abc";

/** A live stream and a batch job in a container each, of which the batch job's holds nothing else. */
function openMachine() {
  const machine = openHybridOwner();
  for (const path of ["/docker", BOX, "/docker/live"])
    for (const hierarchy of machine.context.hierarchies)
      makeUsable(machine.fake.fs, hierarchy, `${hierarchy.mountPoint}${path}`);
  machine.start(10, 1, "/docker/live");
  machine.start(20, 1, BOX);
  return machine;
}

function governBoth(machine: FakeOwner) {
  const live = machine.govern(10, { cpuWeight: 1000 }, { jobId: "live", intent: "live" });
  const batch = machine.govern(20, { cpuWeight: 1 }, { jobId: "batch", intent: "batch" });
  return { live, batch };
}

const sharesOf = ({ fake }: FakeOwner, path: string): string =>
  fake.fs.read(`${CPU}${path}/cpu.shares`).trim();
const now = ({ context }: FakeOwner, { key }: RunningJob): RunningJob =>
  context.ledger.job(key) as RunningJob;
const because = (machine: FakeOwner, job: RunningJob) =>
  now(machine, job).outcomes.find(({ limit }) => limit === "cpu.weight");

function letGo(machine: FakeOwner, job: RunningJob): void {
  detach(machine.context, now(machine, job), jobCgroupOf(machine.context, now(machine, job)));
}

test("the cgroup of an owner that holds batch alone gets its weight, until the last job there lets go", () => {
  const machine = openMachine();
  machine.start(21, 1, BOX);
  const { live, batch } = governBoth(machine);
  const other = machine.govern(21, { cpuWeight: 1 }, { jobId: "other", intent: "batch" });
  expect(applyGates(machine.context).map(({ jobId }) => jobId)).toEqual(["batch", "other"]);
  expect(sharesOf(machine, BOX)).toBe("10");
  expect(sharesOf(machine, "/docker/live")).toBe("1024");
  expect(sharesOf(machine, "/docker")).toBe("1024");
  expect(because(machine, batch)).toMatchObject({ outcome: "applied", actual: "10 shares" });
  // Nothing is written or recorded again.
  expect(applyGates(machine.context)).toEqual([]);
  letGo(machine, batch);
  expect(sharesOf(machine, BOX)).toBe("10");
  letGo(machine, other);
  expect(sharesOf(machine, BOX)).toBe("1024");
  letGo(machine, live);
});

test("a gate is restored when the last live job has ended", () => {
  const machine = openMachine();
  const { live, batch } = governBoth(machine);
  applyGates(machine.context);
  machine.end(10);
  recordExit(machine.context, live, { kind: "exit-unknown", reason: "it ended" });
  expect(applyGates(machine.context)).toHaveLength(1);
  expect(sharesOf(machine, BOX)).toBe("1024");
  expect(now(machine, batch).changes.some((change) => change.kind === "file-written")).toBeFalse();
});

test("a cgroup that holds others is never written, and the outcome says how much it takes", () => {
  const machine = openMachine();
  machine.start(30, 1, BOX);
  const { batch } = governBoth(machine);
  applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("1024");
  expect(because(machine, batch)).toMatchObject({
    outcome: "partial",
    because:
      "counts inside abc only, which still takes half beside live jobs: it holds other processes (use --placement scope, or a slice with CPUWeight=1)",
  });
  machine.end(30);
  applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("10");
  expect(because(machine, batch)).toEqual({
    limit: "cpu.weight",
    outcome: "applied",
    wanted: "1",
    actual: "10 shares",
  });
});

test("a gate that another process enters is restored", () => {
  const machine = openMachine();
  const { batch } = governBoth(machine);
  applyGates(machine.context);
  machine.start(30, 1, BOX);
  applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("1024");
  expect(because(machine, batch)?.outcome).toBe("partial");
});

test("a gate whose owner gives it less, or changes it, is the owner's", () => {
  const machine = openMachine();
  machine.fake.fs.write(`${CPU}${BOX}/cpu.shares`, "5");
  const { batch } = governBoth(machine);
  applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("5");
  machine.fake.fs.write(`${CPU}${BOX}/cpu.shares`, "2048");
  applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("10");
  machine.fake.fs.write(`${CPU}${BOX}/cpu.shares`, "512");
  for (let time = 0; time < 3; time++) applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("512");
  letGo(machine, batch);
  expect(sharesOf(machine, BOX)).toBe("512");
});

test.each(["before", "after"] as const)("a death %s the write of a gate is repaired", (when) => {
  const machine = openMachine();
  const { batch } = governBoth(machine);
  const { fs } = machine.fake;
  const dying = {
    ...machine.context.host,
    cgroupFs: {
      ...fs,
      write(path: string, data: string): void {
        if (when === "after") fs.write(path, data);
        throw new Death();
      },
    },
  };
  expect(() => applyGates({ ...machine.context, host: dying })).toThrow(Death);
  expect(sharesOf(machine, BOX)).toBe(when === "after" ? "10" : "1024");
  applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("10");
  letGo(machine, batch);
  expect(sharesOf(machine, BOX)).toBe("1024");
});

test.each(["before", "after"] as const)("detach restores a gate whose ffrtmp died %s its write", (when) => {
  const machine = openMachine();
  const { batch } = governBoth(machine);
  applyGates(machine.context);
  const changes = now(machine, batch).changes.map((change) =>
    change.kind === "file-written" ? { ...change, after: null } : change,
  );
  machine.context.ledger.recordJournal(now(machine, batch), { changes });
  if (when === "before") machine.fake.fs.write(`${CPU}${BOX}/cpu.shares`, "1024");
  letGo(machine, batch);
  expect(sharesOf(machine, BOX)).toBe("1024");
});

test("a word that is only recorded as an intent has no gate", () => {
  const machine = openMachine();
  machine.govern(10, { cpuWeight: 1000 }, { jobId: "live", intent: "live" });
  machine.govern(20, { pidsMax: 50 }, { jobId: "batch", intent: "batch" });
  expect(applyGates(machine.context)).toEqual([]);
  expect(sharesOf(machine, BOX)).toBe("1024");
});

class Death extends Error {}
