import { expect, test } from "bun:test";
import { makeUsable } from "../../../test/support/cgroupMachines.ts";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { Ledger } from "../../ledger/ledger.ts";
import { isGate } from "../../linux/change.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { lockFile } from "../../sys/fileLock.ts";
import { detach } from "../attach/detach.ts";
import type { Context } from "../context.ts";
import { recordExit } from "../exit/recordExit.ts";
import type { RunningJob } from "../model/job.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { changeLimits } from "./changeLimits.ts";
import { applyGates, applyGatesInTurn, recordPolicyIntents } from "./gates.ts";

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

test("the cgroup of an owner that holds batch alone gets its weight, until the last job there ends or is detached", () => {
  const machine = openMachine();
  machine.start(21, 1, BOX);
  const { live, batch } = governBoth(machine);
  const other = machine.govern(21, { cpuWeight: 1 }, { jobId: "other", intent: "batch" });
  expect(applyGates(machine.context)).toMatchObject([{ jobId: "batch" }, { jobId: "other" }]);
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

test.each(["one", "both"] as const)("a gate is restored when %s of its sides lost the intent", (which) => {
  const machine = openMachine();
  const { live, batch } = governBoth(machine);
  applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("10");
  for (const job of which === "one" ? [batch] : [live, batch])
    machine.context.ledger.recordSpec(now(machine, job), { intent: null });
  applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("1024");
  expect(now(machine, batch).changes.some(isGate)).toBeFalse();
});

/** A context in which another process does something just before each write to a cgroup, or just after it. */
function interrupted({ context, fake }: FakeOwner, when: "before" | "after", action: () => void): Context {
  const write = (path: string, data: string): void => {
    if (when === "before") action();
    fake.fs.write(path, data);
    if (when === "after") action();
  };
  return { ...context, host: { ...context.host, cgroupFs: { ...fake.fs, write } } };
}

test.each(["before", "after"] as const)(
  "a gate is restored although its job ended %s the write, seen by another process",
  (when) => {
    const machine = openMachine();
    const { batch } = governBoth(machine);
    const seen = now(machine, batch);
    machine.end(20);
    applyGates(
      interrupted(machine, when, () => {
        recordExit(machine.context, seen, { kind: "exit-unknown", reason: "it ended" });
      }),
    );
    expect(sharesOf(machine, BOX)).toBe("1024");
    expect(machine.context.ledger.job(batch.key)).toMatchObject({ cleanedUp: true, changes: [] });
  },
);

test("the end of a job restores a gate that was written while the end was being recorded", () => {
  const machine = openMachine();
  const { batch } = governBoth(machine);
  const { ledger } = machine.context;
  const recordResult = ledger.recordResult.bind(ledger);
  ledger.recordResult = (job, result) => {
    applyGates(machine.context);
    expect(sharesOf(machine, BOX)).toBe("10");
    return recordResult(job, result);
  };
  machine.end(20);
  recordExit(machine.context, now(machine, batch), { kind: "exit-unknown", reason: "it ended" });
  expect(sharesOf(machine, BOX)).toBe("1024");
});

test("a change of limits keeps a gate that was written since the job was read", () => {
  const machine = openMachine();
  const { batch } = governBoth(machine);
  const seen = now(machine, batch);
  applyGates(machine.context);
  changeLimits(machine.context, seen, { byHand: { cpus: "0" } }, "by hand");
  expect(now(machine, batch).changes.filter(isGate)).toMatchObject([{ before: "1024", after: "10" }]);
});

test("limits that another process sets meanwhile keep the gate, and the gate keeps their cgroups", () => {
  const machine = openMachine();
  const { batch } = governBoth(machine);
  const seen = now(machine, batch);
  const change = () => changeLimits(machine.context, seen, { byHand: { cpus: "0" } }, "by hand");
  applyGates(interrupted(machine, "after", change));
  const { changes } = now(machine, batch);
  expect(changes.filter(isGate)).toMatchObject([{ before: "1024", after: "10" }]);
  expect(changes).toContainEqual(expect.objectContaining({ kind: "cgroup-created", hierarchy: "cpuset" }));
  letGo(machine, batch);
  expect(sharesOf(machine, BOX)).toBe("1024");
  for (const { mountPoint } of machine.context.hierarchies)
    expect(machine.fake.fs.children(`${mountPoint}${BOX}`)).toEqual([]);
});

test("a gate whose owner has changed it stays the owner's after it held others", () => {
  const machine = openMachine();
  const { batch } = governBoth(machine);
  applyGates(machine.context);
  machine.fake.fs.write(`${CPU}${BOX}/cpu.shares`, "512");
  applyGates(machine.context);
  expect(because(machine, batch)).toMatchObject({
    outcome: "partial",
    because:
      "counts inside abc only, which still takes 33 % beside live jobs: its cpu.shares was changed from outside",
  });
  machine.start(30, 1, BOX);
  applyGates(machine.context);
  machine.end(30);
  applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("512");
});

test("a gate is written again after a death between its restoring and the record of that", () => {
  const machine = openMachine();
  governBoth(machine);
  applyGates(machine.context);
  machine.start(30, 1, BOX);
  const { ledger } = machine.context;
  const { recordGates } = ledger;
  const dying = interrupted(machine, "after", () => {
    ledger.recordGates = () => {
      throw new Death();
    };
  });
  expect(() => applyGates(dying)).toThrow(Death);
  ledger.recordGates = recordGates;
  expect(sharesOf(machine, BOX)).toBe("1024");
  machine.end(30);
  applyGates(machine.context);
  expect(sharesOf(machine, BOX)).toBe("10");
});

test("a gate that may not be written is not tried, and the outcome says so", () => {
  const machine = openMachine();
  const { batch } = governBoth(machine);
  const { host } = machine.context;
  const cgroupFs = { ...machine.fake.fs, isWritable: () => false };
  applyGates({ ...machine.context, host: { ...host, cgroupFs } });
  expect(sharesOf(machine, BOX)).toBe("1024");
  expect(now(machine, batch).changes.some(isGate)).toBeFalse();
  expect(because(machine, batch)).toMatchObject({
    outcome: "partial",
    because:
      "counts inside abc only, which still takes half beside live jobs: this ffrtmp may not write its cpu.shares",
  });
});

test("a word that is only recorded as an intent has no gate", () => {
  const machine = openMachine();
  machine.govern(10, { cpuWeight: 1000 }, { jobId: "live", intent: "live" });
  machine.govern(20, { pidsMax: 50 }, { jobId: "batch", intent: "batch" });
  expect(applyGates(machine.context)).toEqual([]);
  expect(sharesOf(machine, BOX)).toBe("1024");
});

test("the jobs of a policy have gates only while it has the block of intents", () => {
  const machine = openMachine();
  const { context } = machine;
  machine.govern(10, { cpuWeight: 1000 }, { jobId: "live", intent: "live" }, "watch");
  machine.govern(20, { cpuWeight: 1 }, { jobId: "batch", intent: "batch" }, "watch");
  expect(applyGates(context)).toEqual([]);
  recordPolicyIntents(context, true);
  applyGates(context);
  expect(sharesOf(machine, BOX)).toBe("10");
  recordPolicyIntents(context, false);
  applyGates(context);
  expect(sharesOf(machine, BOX)).toBe("1024");
});

/** Another process on the same machine, with its own connection to the same ledger. */
function another({ context }: FakeOwner): Context {
  return { ...context, ledger: new Ledger(context.state.ledger, console.log) };
}

/** A context in which another process does something after this one has read the jobs. */
function readBefore(context: Context, action: () => void): Context {
  const ledger = new Ledger(context.state.ledger, console.log);
  const read = ledger.openJobsWithIntent.bind(ledger);
  let reads = 0;
  ledger.openJobsWithIntent = () => {
    const jobs = read();
    // The last one, whose jobs are used.
    if (++reads === 2) action();
    return jobs;
  };
  return { ...context, ledger };
}

/** Two batch jobs of different weights in one gate; the second is recorded by another process meanwhile. */
test.each(["after the jobs are read", "before the write", "after the write"] as const)(
  "two processes with different weights for one gate leave the higher one and the owner's value to restore, %s",
  (when) => {
    const machine = openMachine();
    const live = machine.govern(10, { cpuWeight: 1000 }, { jobId: "live", intent: "live" });
    const low = machine.govern(20, { cpuWeight: 2 }, { jobId: "low", intent: "batch" });
    const second = another(machine);
    let high: RunningJob | undefined;
    const attachSecond = () => {
      if (high !== undefined) return;
      machine.start(21, 1, BOX);
      high = machine.govern(21, { cpuWeight: 50 }, { jobId: "high", intent: "batch" });
      applyGates(second);
    };
    applyGates(
      when === "after the jobs are read"
        ? readBefore(machine.context, attachSecond)
        : interrupted(machine, when === "before the write" ? "before" : "after", attachSecond),
    );
    // As `attach` does when it is its turn, and the daemon at its next scan.
    for (const each of [second, machine.context]) applyGates(each);
    expect(sharesOf(machine, BOX)).toBe("512");
    for (const job of [low, high as RunningJob])
      expect(now(machine, job).changes.filter(isGate)).toMatchObject([{ before: "1024", after: "512" }]);
    machine.end(21);
    recordExit(second, now(machine, high as RunningJob), { kind: "exit-unknown", reason: "it ended" });
    applyGates(machine.context);
    expect(sharesOf(machine, BOX)).toBe("20");
    letGo(machine, low);
    expect(sharesOf(machine, BOX)).toBe("1024");
    letGo(machine, live);
  },
);

test("a process that has stopped while it writes gates delays no end of a job, and attach says that it waits no longer", async () => {
  const machine = openMachine();
  const { batch } = governBoth(machine);
  applyGates(machine.context);
  const warnings: string[] = [];
  const lock = lockFile(machine.context.state.gateLock);
  const context = { ...machine.context, warn: (text: string) => void warnings.push(text) };
  expect(applyGates(context)).toBe("busy");
  expect(await applyGatesInTurn(context)).toEqual([]);
  expect(warnings).toEqual([expect.stringContaining("are left to ffrtmp watch")]);
  machine.end(20);
  recordExit(context, now(machine, batch), { kind: "exit-unknown", reason: "it ended" });
  expect(sharesOf(machine, BOX)).toBe("1024");
  if (typeof lock === "number") closeFd(lock);
  expect(applyGates(context)).toEqual([]);
});

class Death extends Error {}
