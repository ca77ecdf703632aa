import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { dirname } from "node:path";
import { makeUsable } from "../../../test/support/cgroupMachines.ts";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import type { Limits } from "../../limits/limits.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { lockFile } from "../../sys/fileLock.ts";
import { detach } from "../attach/detach.ts";
import type { Context } from "../context.ts";
import { recordExit } from "../exit/recordExit.ts";
import type { RunningJob } from "../model/job.ts";
import { governedQuotaOf, readGovernedQuota } from "../placement/foundQuota.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { changeLimits } from "./changeLimits.ts";
import { forgetGovernedQuota, liftGovernedQuota, setGovernedQuota } from "./governedQuota.ts";

const { openHybridOwner, openOwner } = useGovernedFakes();
const BOX = "/docker/abc";
const BECAUSE = "governed: 0.6 cores left of 4";

interface Box {
  machine: FakeOwner;
  job: RunningJob;
  /** The cgroup that the job came from. */
  around: string;
  /** The text of the quota and the period in the job's cgroup. */
  quota(): string;
  /** Writes a quota as an operator does: to the job's cgroup, or to the one around it. */
  write(text: string, where?: "above"): void;
}

function openV1(limits: Limits = {}): Box {
  const machine = openHybridOwner();
  const { hierarchies } = machine.context;
  for (const path of ["/docker", BOX])
    for (const hierarchy of hierarchies)
      makeUsable(machine.fake.fs, hierarchy, `${hierarchy.mountPoint}${path}`);
  machine.start(20, 1, BOX);
  machine.start(30, 1, BOX);
  const job = machine.govern(20, { cpuWeight: 1, ...limits }, { jobId: "batch", intent: "batch" });
  const { fs } = machine.fake;
  const around = `/sys/fs/cgroup/cpu${BOX}`;
  const group = () => `${around}/${fs.children(around)[0]}`;
  const read = (file: string) => fs.read(`${group()}/cpu.cfs_${file}_us`).trim();
  return {
    machine,
    job,
    around,
    quota: () => `${read("quota")} ${read("period")}`.replace(/^-1 .*/, "max"),
    write(text, where) {
      const [quota = "", period] = text.split(" ");
      const at = where === "above" ? around : group();
      if (period !== undefined) fs.write(`${at}/cpu.cfs_period_us`, period);
      fs.write(`${at}/cpu.cfs_quota_us`, quota === "max" ? "-1" : quota);
    },
  };
}

function openV2(placement: "in-place" | "nested", limits: Limits = {}): Box {
  const machine = openOwner();
  machine.start(20, 1);
  const job = machine.govern(20, { cpuWeight: 1, ...limits }, { jobId: "batch", intent: "batch", placement });
  const { fs } = machine.fake;
  const group = () => (job.cgroup[0] as { path: string }).path;
  return {
    machine,
    job,
    around: machine.owner,
    quota: () =>
      fs
        .read(`${group()}/cpu.max`)
        .trim()
        .replace(/^max .*/, "max"),
    write: (text, where) =>
      fs.write(
        `${where === "above" ? (placement === "nested" ? machine.owner : dirname(machine.owner)) : group()}/cpu.max`,
        text,
      ),
  };
}

const BOXES: [string, (limits?: Limits) => Box][] = [
  ["on v1", openV1],
  ["on v2, nested", (limits) => openV2("nested", limits)],
  ["on v2, in place", (limits) => openV2("in-place", limits)],
];
const HALF: Limits = { cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } };

const now = ({ machine, job }: Box) => machine.context.ledger.job(job.key) as RunningJob;
const read = (box: Box) => readGovernedQuota(now(box), jobCgroupOf(box.machine.context, now(box)));
const set = (box: Box, cores: number) => setGovernedQuota(box.machine.context, box.job, cores, BECAUSE);
const lift = (box: Box) => liftGovernedQuota(box.machine.context, now(box));
function letGo({ machine, job }: Box): void {
  const recorded = machine.context.ledger.job(job.key) as RunningJob;
  detach(machine.context, recorded, jobCgroupOf(machine.context, recorded));
}

test.each(BOXES)("%s, a quota is written with a period of 20 ms, recorded, and lifted", (_, open) => {
  const box = open();
  expect(read(box)).toEqual({ quotaCores: null, ceilingCores: null });
  set(box, 0.6);
  expect(box.quota()).toBe("12000 20000");
  expect(governedQuotaOf(now(box))).toEqual({
    limit: "cpu.max",
    of: "governor",
    outcome: "applied",
    wanted: "12000 20000",
    actual: "12000 20000",
    because: BECAUSE,
  });
  set(box, 0.01);
  expect(box.quota()).toBe("1000 20000");
  expect(read(box)).toEqual({ quotaCores: 0.05, ceilingCores: null });
  lift(box);
  expect(box.quota()).toBe("max");
  expect(governedQuotaOf(now(box))).toBeUndefined();
});

test.each(BOXES)("%s, the job's own quota is a ceiling, and is put back", (_, open) => {
  const box = open(HALF);
  expect(read(box)).toEqual({ quotaCores: null, ceilingCores: 0.5 });
  set(box, 0.3);
  expect(box.quota()).toBe("6000 20000");
  expect(read(box)).toEqual({ quotaCores: 0.3, ceilingCores: 0.5 });
  lift(box);
  expect(box.quota()).toBe("50000 100000");
  expect(read(box)).toEqual({ quotaCores: null, ceilingCores: 0.5 });
});

test.each(BOXES)("%s, a quota above is a ceiling, and nothing looser is written", (_, open) => {
  const box = open();
  box.write("40000 100000", "above");
  expect(read(box)).toEqual({ quotaCores: null, ceilingCores: 0.4 });
  set(box, 0.2);
  expect(read(box)).toEqual({ quotaCores: 0.2, ceilingCores: 0.4 });
  set(box, 0.6);
  expect(box.quota()).toBe("max");
  expect(governedQuotaOf(now(box))).toBeUndefined();
});

test.each(BOXES)("%s, detach leaves what was there before", (_, open) => {
  const box = open();
  set(box, 0.6);
  letGo(box);
  const { fs } = box.machine.fake;
  const owner = box.machine.owner;
  expect(fs.read(`${box.around}/cgroup.procs`).split("\n")).toContain("20");
  expect([...fs.children(box.around), ...fs.children(owner)]).toEqual([]);
});

test("in place, detach and an end restore the owner's quota", () => {
  for (const end of [false, true]) {
    const box = openV2("in-place");
    lift(box);
    box.write("300000 100000");
    set(box, 0.6);
    expect(read(box)).toEqual({ quotaCores: 0.6, ceilingCores: 3 });
    if (end) {
      box.machine.end(20);
      recordExit(box.machine.context, now(box), { kind: "exit-unknown", reason: "it ended" });
    } else letGo(box);
    expect(box.quota()).toBe("300000 100000");
  }
});

test.each(BOXES)("%s, a quota that something else has written stays", (_, open) => {
  const box = open();
  set(box, 0.6);
  box.write("10000 100000");
  expect(read(box)).toEqual({ wanted: "12000 20000", found: "10000 100000" });
  lift(box);
  expect(box.quota()).toBe("10000 100000");
  expect(governedQuotaOf(now(box))).toBeUndefined();
});

class Death extends Error {}

test.each(BOXES)("%s, a death before or after the write is repaired by the next lift", (_, open) => {
  for (const when of ["before", "after"]) {
    const box = open();
    set(box, 0.6);
    const { context, fake } = box.machine;
    const { ledger } = context;
    const [recordOutcomes, recordJournal] = [ledger.recordOutcomes, ledger.recordJournal];
    // It records what it will write, and dies then or after the write.
    ledger.recordOutcomes = (job, outcomes) => {
      ledger.recordOutcomes = ledger.recordJournal = () => {
        throw new Death();
      };
      return recordOutcomes.call(ledger, job, outcomes) as typeof job;
    };
    const write = when === "after" ? fake.fs.write : () => {};
    const dying = { ...context.host, cgroupFs: { ...fake.fs, write } };
    expect(() => setGovernedQuota({ ...context, host: dying }, box.job, 0.4, BECAUSE)).toThrow(Death);
    Object.assign(ledger, { recordOutcomes, recordJournal });
    expect(box.quota()).toBe(when === "after" ? "8000 20000" : "12000 20000");
    lift(box);
    expect(box.quota()).toBe("max");
    expect(governedQuotaOf(now(box))).toBeUndefined();
  }
});

/** Returns a context whose process dies before its write number `at` to a quota on v1, counted from 1. */
function dyingAt({ machine: { context, fake } }: Box, at: number): { context: Context; revive(): void } {
  const { ledger } = context;
  const { recordOutcomes, recordJournal } = ledger;
  let writes = 0;
  const write: typeof fake.fs.write = (path, data) => {
    if (path.includes("/cpu.cfs_") && ++writes >= at) {
      ledger.recordOutcomes = ledger.recordJournal = () => {
        throw new Death();
      };
    } else fake.fs.write(path, data);
  };
  return {
    context: { ...context, host: { ...context.host, cgroupFs: { ...fake.fs, write } } },
    revive: () => void Object.assign(ledger, { recordOutcomes, recordJournal }),
  };
}

test.each([
  ["no quota", {}, "max"],
  ["a quota with a longer period", HALF, "50000 100000"],
  ["a quota with a shorter period", { cpuMax: { quotaUsec: 5000, periodUsec: 10_000 } }, "5000 10000"],
] as const)(
  "on v1, a death between a quota and its period leaves nothing behind, with %s",
  (_, limits, own) => {
    for (const act of ["set", "lift"]) {
      const box = openV1(limits);
      if (act === "lift") set(box, 0.2);
      const before = box.quota();
      const first = dyingAt(box, 2);
      expect(() =>
        act === "set"
          ? setGovernedQuota(first.context, box.job, 0.1, BECAUSE)
          : liftGovernedQuota(first.context, now(box)),
      ).toThrow(Death);
      first.revive();
      expect([before, own]).not.toContain(box.quota());
      expect(read(box)).toHaveProperty("ceilingCores");
      // The next one dies before its first write.
      const second = dyingAt(box, 1);
      expect(() => setGovernedQuota(second.context, box.job, 0.3, BECAUSE)).toThrow(Death);
      second.revive();
      lift(box);
      expect(box.quota()).toBe(own);
      expect(governedQuotaOf(now(box))).toBeUndefined();
    }
  },
);

test.each(BOXES)("%s, a change of limits drops the quota", (_, open) => {
  const box = open();
  set(box, 0.6);
  changeLimits(box.machine.context, now(box), { byHand: HALF }, "by hand");
  expect(box.quota()).toBe("50000 100000");
  expect(governedQuotaOf(now(box))).toBeUndefined();
  set(box, 0.3);
  changeLimits(box.machine.context, now(box), { byHand: null }, "by hand");
  expect(box.quota()).toBe("max");
  set(box, 0.3);
  changeLimits(box.machine.context, now(box), { labels: { plan: "shared" } }, "by hand");
  expect(box.quota()).toBe("max");
  expect(governedQuotaOf(now(box))).toBeUndefined();
});

test.each(BOXES)(
  "%s, a limit that was set since the decision is not loosened, nor its record lost",
  (_, open) => {
    const box = open();
    const { context } = box.machine;
    set(box, 0.4);
    changeLimits(context, now(box), { byHand: HALF }, "by hand");
    const { outcomes } = now(box);
    expect(set(box, 0.6)?.outcomes).toEqual(outcomes);
    expect(box.quota()).toBe("50000 100000");
    // The record that a step has read before.
    expect(forgetGovernedQuota(context, box.job)).toBeUndefined();
    expect(now(box).outcomes).toEqual(outcomes);
  },
);

test.each(BOXES)(
  "%s, while another process has the lock, no quota is set or forgotten, and limits change",
  (_, open) => {
    const box = open();
    const { context } = box.machine;
    set(box, 0.4);
    box.write("10000 100000");
    const lock = lockFile(context.state.gateLock);
    expect(set(box, 0.3)).toBeUndefined();
    expect(forgetGovernedQuota(context, box.job)).toBeUndefined();
    expect(box.quota()).toBe("10000 100000");
    changeLimits(
      context,
      now(box),
      { byHand: { cpuMax: { quotaUsec: 8000, periodUsec: 100_000 } } },
      "by hand",
    );
    expect(box.quota()).toBe("8000 100000");
    if (typeof lock === "number") closeFd(lock);
  },
);

test.each(BOXES)("%s, no quota is set between the writes and the records of other limits", (_, open) => {
  const box = open();
  const { context } = box.machine;
  const { ledger } = context;
  const recordSpec = ledger.recordSpec.bind(ledger);
  const results: unknown[] = [];
  ledger.recordSpec = (job, change) => {
    results.push(set(box, 0.3));
    return recordSpec(job, change);
  };
  changeLimits(context, now(box), { byHand: HALF }, "by hand");
  expect(results).toEqual([undefined]);
  expect(box.quota()).toBe("50000 100000");
});

test("a quota that cannot be removed stays recorded when limits change", () => {
  const box = openV1();
  set(box, 0.6);
  box.machine.fake.setAccess("read-only", "/sys/fs/cgroup/cpu");
  const context = { ...box.machine.context, warn() {} };
  changeLimits(context, now(box), { byHand: { pidsMax: 50 } }, "by hand");
  expect(governedQuotaOf(now(box))).toMatchObject({ outcome: "partial", actual: "12000 20000" });
  box.machine.fake.setAccess("full", "/sys/fs/cgroup/cpu");
  lift(box);
  expect(box.quota()).toBe("max");
});

test.each(BOXES)(
  "%s, a quota in a cgroup that is not visible stays recorded, with all that is to be undone",
  (_, open) => {
    const box = open();
    set(box, 0.6);
    const { context } = box.machine;
    const before = now(box);
    const isCpu = (controllers: readonly string[]) => controllers.length === 0 || controllers.includes("cpu");
    const others = context.hierarchies.filter(({ controllers }) => !isCpu(controllers));
    for (const hierarchies of [[], others]) {
      liftGovernedQuota({ ...context, hierarchies }, before);
      expect(now(box)).toEqual(before);
    }
    lift(box);
    expect(box.quota()).toBe("max");
  },
);

test("on v1, a quota is forgotten that is gone with its cgroup", () => {
  const box = openV1();
  set(box, 0.6);
  const { fs } = box.machine.fake;
  const [group = ""] = fs.children(box.around);
  fs.write(`${box.around}/cgroup.procs`, "20");
  fs.rmdir(`${box.around}/${group}`);
  lift(box);
  expect(governedQuotaOf(now(box))).toBeUndefined();
});

test("on v1, a quota leaves the journal of other hierarchies as it is, where these are not visible", () => {
  const box = openV1();
  const { context } = box.machine;
  const { changes, cgroup } = now(box);
  const hierarchies = context.hierarchies.filter(({ controllers }) => controllers.includes("cpu"));
  setGovernedQuota({ ...context, hierarchies }, box.job, 0.6, BECAUSE);
  expect(box.quota()).toBe("12000 20000");
  liftGovernedQuota({ ...context, hierarchies }, now(box));
  expect(box.quota()).toBe("max");
  expect(now(box)).toMatchObject({ changes, cgroup });
});

test("on v1, a smaller total of a tenant is applied although all its jobs have quotas of the governor", () => {
  const totalOf = (quotaUsec: number) => ({
    name: "acme",
    limits: { cpuMax: { quotaUsec, periodUsec: 100_000 } },
  });
  const machine = openHybridOwner();
  const jobs = [20, 21].map((pid) => {
    machine.start(pid, 1);
    const spec = { jobId: `batch-${pid}`, intent: "batch", tenant: totalOf(200_000) };
    return machine.govern(pid, { cpuWeight: 1 }, spec);
  });
  const { context } = machine;
  const current = ({ key }: RunningJob) => context.ledger.job(key) as RunningJob;
  for (const job of jobs) setGovernedQuota(context, job, 0.6, BECAUSE);
  for (const job of jobs) changeLimits(context, current(job), { tenant: totalOf(40_000) }, "the policy");
  for (const job of jobs)
    expect(current(job).outcomes.filter(({ of }) => of !== undefined)).toMatchObject([
      { of: "tenant", limit: "cpu.max", outcome: "applied", wanted: "40000 100000" },
    ]);
});

test.each([
  [1, {}, "max"],
  [1, HALF, "50000 100000"],
  [2, {}, "max"],
  [2, HALF, "50000 100000"],
] as const)(
  "on v%d, the processes that a job leaves behind get its own quota back: %j",
  (version, limits, own) => {
    const box = version === 2 ? openV2("nested", limits) : openV1(limits);
    const { machine } = box;
    const { context } = machine;
    machine.start(21, 1, version === 1 ? BOX : undefined);
    const { path } = now(box).cgroup.find((each) => /^(|.*\bcpu)$/.test(each.hierarchy)) as { path: string };
    machine.fake.fs.write(`${path}/${version === 1 ? "cgroup.procs" : "cgroup.threads"}`, "21");
    set(box, 0.1);
    machine.end(20);
    const ending = { kind: "exit-unknown", reason: "it ended" } as const;
    expect(recordExit(context, now(box), ending).survivors).toEqual([21]);
    expect(box.quota()).toBe(own);
  },
);

test("while the ledger cannot be written, no quota is, and no records wait for each step", () => {
  const box = openV2("in-place");
  const { ledger } = box.machine.context;
  set(box, 0.6);
  const holder = new Database(ledger.path);
  holder.run("BEGIN IMMEDIATE");
  for (let step = 0; step < 5; step++) expect(set(box, 0.4)).toBeUndefined();
  expect(box.quota()).toBe("12000 20000");
  expect(ledger.flush()).toBeLessThan(3);
  expect(read(box)).toMatchObject({ quotaCores: 0.6 });
  holder.run("ROLLBACK");
  holder.close();
  expect(ledger.flush()).toBe(0);
  set(box, 0.4);
  expect(box.quota()).toBe("8000 20000");
  lift(box);
  expect(box.quota()).toBe("max");
}, 60_000);

test("a job that has ended gets no quota", () => {
  const box = openV2("in-place");
  const { context, fake } = box.machine;
  const ending = {
    ...context.host,
    cgroupFs: {
      ...fake.fs,
      write(path: string, data: string): void {
        box.machine.end(20);
        recordExit(context, now(box), { kind: "exit-unknown", reason: "it ended" });
        ending.cgroupFs.write = fake.fs.write;
        fake.fs.write(path, data);
      },
    },
  };
  expect(setGovernedQuota({ ...context, host: ending }, box.job, 0.6, BECAUSE)).toBeUndefined();
  expect(box.quota()).toBe("max");
  expect(set(box, 0.6)).toBeUndefined();
});

test("an end restores the owner's quota although another one is set while it is recorded", () => {
  for (const isFirst of [true, false]) {
    const box = openV2("in-place");
    if (!isFirst) set(box, 0.6);
    const { ledger } = box.machine.context;
    const recordResult = ledger.recordResult.bind(ledger);
    ledger.recordResult = (job, result) => {
      set(box, 0.3);
      expect(box.quota()).toBe("6000 20000");
      return recordResult(job, result);
    };
    box.machine.end(20);
    recordExit(box.machine.context, now(box), { kind: "exit-unknown", reason: "it ended" });
    expect(box.quota()).toBe("max");
  }
});

test("a quota that cannot be removed stays recorded, with the reason, and is tried again", () => {
  const box = openV1();
  set(box, 0.6);
  const { context, fake } = box.machine;
  const warnings: string[] = [];
  const warn = (text: string) => void warnings.push(text);
  fake.setAccess("read-only", "/sys/fs/cgroup/cpu");
  for (let time = 0; time < 2; time++) liftGovernedQuota({ ...context, warn }, now(box));
  expect(governedQuotaOf(now(box))).toMatchObject({ outcome: "partial", actual: "12000 20000" });
  expect(warnings).toHaveLength(1);
  fake.setAccess("full", "/sys/fs/cgroup/cpu");
  lift(box);
  expect(box.quota()).toBe("max");
  expect(governedQuotaOf(now(box))).toBeUndefined();
});
