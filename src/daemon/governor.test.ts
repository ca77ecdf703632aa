import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { makeUsable } from "../../test/support/cgroupMachines.ts";
import { type FakeOwner, useGovernedFakes } from "../../test/support/governedFakes.ts";
import { useGovernedSleepers } from "../../test/support/governedSleepers.ts";
import { lacksLimits, testIf } from "../../test/support/sandbox.ts";
import { detach } from "../jobs/attach/detach.ts";
import type { Context } from "../jobs/context.ts";
import { applyGates } from "../jobs/limits/gates.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { governedQuotaOf, readGovernedQuota } from "../jobs/placement/foundQuota.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { onlyPartly } from "../limits/outcome.ts";
import type { GovernorPolicy } from "../policy/governor.ts";
import { type DaemonEvent, DaemonEvents } from "./events.ts";
import { HeadroomGovernor } from "./governor.ts";
import { linesOf } from "./log.ts";
import { levelOf } from "./logLevel.ts";

const { openHybridOwner, openOwner } = useGovernedFakes();
const { clean, governSleeper, makeGovernor } = useGovernedSleepers();
const limitsTest = testIf(lacksLimits());
const ON: GovernorPolicy = { mode: "on", headroom: { percent: 10 } };
const STEP_MS = 500;
/** No step of the timer falls into a test. */
const NEVER_MS = 1e9;

interface Rig {
  machine: FakeOwner;
  job: RunningJob;
  governor: HeadroomGovernor;
  policy: { governor?: GovernorPolicy | undefined };
  events: DaemonEvent[];
  /** Steps of half a second in which the others use these cores of 4, and the batch job the rest up to its quota. */
  steps(count: number, others: number): void;
  /** The cores that others use in the steps inside the cgroup around the batch job. */
  inBox: number;
  /** Sets a quota, in cores, of the cgroup around the batch job. */
  limitBox(cores: number): void;
  /** The CPUs of the batch job. The others use CPU 3. */
  pin(cpus: "0-1" | "3"): void;
  /** Time passes without a sample. */
  pass(ms: number): void;
  /** The cores of the quota in the job's cgroup; `null`: none. */
  quota(): number | null;
  writeQuota(text: string): void;
  now(): RunningJob;
  /** Another daemon on the same machine. */
  restart(governor: GovernorPolicy | undefined, host?: Context["host"]): void;
}

/** The lines of 4 CPUs in /proc/stat. */
const CPUS = cpuLines([0, 0, 0, 0]);

function cpuLines(busyTicks: readonly number[]): string {
  return busyTicks.map((ticks, cpu) => `cpu${cpu} ${Math.round(ticks)} 0 0 0 0 0 0 0 0 0\n`).join("");
}

function startGovernor(context: Context, policy: Rig["policy"], bus: DaemonEvents): HeadroomGovernor {
  const governor = new HeadroomGovernor(
    {
      ...context,
      store: { policy },
      bus,
      postponed: { attempt: (work) => work() },
      scheduling: { inBackground: (work) => work() },
    },
    { onChange() {}, stepMs: NEVER_MS },
  );
  clean.push(() => governor.stop());
  governor.check();
  return governor;
}

/** A machine of 4 CPUs with a live job, and a batch job in a cgroup that holds another process too. */
function openRig(version: 1 | 2, given: GovernorPolicy | undefined = ON, limits = {}): Rig {
  const machine = version === 1 ? openHybridOwner() : openOwner();
  const { fake, context } = machine;
  const [box, live] = version === 1 ? ["/docker/abc", "/live"] : ["/system.slice/box", "/system.slice/live"];
  for (const path of version === 1 ? ["/docker", box, live] : [box, live])
    for (const hierarchy of context.hierarchies)
      makeUsable(fake.fs, hierarchy, `${hierarchy.mountPoint}${path}`);
  machine.start(10, 1, live);
  machine.start(20, 1, box);
  machine.start(30, 1, box);
  machine.govern(10, { cpuWeight: 1000 }, { jobId: "news", intent: "live" });
  const job = machine.govern(20, { cpuWeight: 1, ...limits }, { jobId: "hd", intent: "batch" });
  applyGates(context);

  const used = { busyUsec: 1e9, batchUsec: 0, inBoxUsec: 0 };
  // The others use the last CPU, and batch the first one that it may: a CPU has no upper bound here.
  const cpuUsec: [number, number, number, number] = [0, 0, 0, 0];
  let batchCpu: 0 | 3 = 0;
  let bootMs = 1000;
  const groupIn = (controller: string) =>
    version === 1
      ? `/sys/fs/cgroup/${controller}${box}/${fake.fs.children(`/sys/fs/cgroup/${controller}${box}`)[0]}`
      : (job.cgroup[0] as { path: string }).path;
  const put = () => {
    const idle = Math.round((4 * bootMs) / 10);
    writeFileSync(
      `${context.host.procRoot}/stat`,
      `cpu  ${Math.round(used.busyUsec / 10_000)} 0 0 ${idle} 0 0 0 0 0 0\n${cpuLines(cpuUsec.map((usec) => usec / 10_000))}`,
    );
    const boxUsec = used.batchUsec + used.inBoxUsec;
    if (version === 1) fake.set(`${dirname(groupIn("cpuacct"))}/cpuacct.usage`, `${boxUsec * 1000}\n`);
    else fake.set(`${dirname(groupIn("cpu"))}/cpu.stat`, `usage_usec ${boxUsec}\n`);
    if (version === 1) fake.set(`${groupIn("cpuacct")}/cpuacct.usage`, `${used.batchUsec * 1000}\n`);
    else fake.set(`${groupIn("cpu")}/cpu.stat`, `usage_usec ${used.batchUsec}\nuser_usec 0\nsystem_usec 0\n`);
  };
  put();
  const policy: Rig["policy"] = { governor: given };
  const events: DaemonEvent[] = [];
  const bus = new DaemonEvents();
  bus.subscribe((event) => void events.push(event));
  const start = (of: Rig["policy"], host = context.host) =>
    startGovernor({ ...context, host: { ...host, bootNow: () => bootMs } }, of, bus);
  const quota = (): number | null => {
    const read = (file: string) => fake.fs.read(`${groupIn("cpu")}/${file}`).trim();
    const text = version === 1 ? `${read("cpu.cfs_quota_us")} ${read("cpu.cfs_period_us")}` : read("cpu.max");
    const [quotaUsec, periodUsec] = text.split(" ").map(Number) as [number, number];
    return quotaUsec > 0 ? quotaUsec / periodUsec : null;
  };
  const rig: Rig = {
    machine,
    job,
    policy,
    events,
    inBox: 0,
    limitBox(cores) {
      const box = dirname(groupIn("cpu"));
      if (version === 2) fake.set(`${box}/cpu.max`, `${cores * 100_000} 100000\n`);
      else fake.set(`${box}/cpu.cfs_quota_us`, `${cores * 100_000}\n`);
    },
    pin(cpus) {
      const directory = version === 2 ? dirname(groupIn("cpu")) : `/sys/fs/cgroup/cpuset${box}`;
      fake.fs.write(`${directory}/cpuset.cpus`, cpus);
      batchCpu = cpus === "3" ? 3 : 0;
    },
    governor: start(policy),
    steps(count, others) {
      for (let step = 0; step < count; step++) {
        const batch = Math.min(4 - others, quota() ?? 4);
        used.busyUsec += (others + batch) * STEP_MS * 1000;
        used.batchUsec += batch * STEP_MS * 1000;
        cpuUsec[batchCpu] += batch * STEP_MS * 1000;
        cpuUsec[3] += others * STEP_MS * 1000;
        used.inBoxUsec += rig.inBox * STEP_MS * 1000;
        bootMs += STEP_MS;
        put();
        rig.governor.step();
      }
    },
    pass(ms) {
      bootMs += ms;
    },
    quota,
    writeQuota(text) {
      const [quotaUsec = "", periodUsec = ""] = text.split(" ");
      if (version === 2) fake.fs.write(`${groupIn("cpu")}/cpu.max`, text);
      else {
        fake.fs.write(`${groupIn("cpu")}/cpu.cfs_period_us`, periodUsec);
        fake.fs.write(`${groupIn("cpu")}/cpu.cfs_quota_us`, quotaUsec === "max" ? "-1" : quotaUsec);
      }
    },
    now: () => context.ledger.job(job.key) as RunningJob,
    restart(again, host) {
      rig.governor.stop();
      rig.governor = start({ governor: again }, host);
    },
  };
  return rig;
}

const VERSIONS = [1, 2] as const;

test.each(VERSIONS)("on v%d, batch gets what the others leave, at once less and slowly more", (version) => {
  const rig = openRig(version);
  rig.steps(1, 1);
  expect(rig.quota()).toBeNull();
  rig.steps(1, 1);
  expect(rig.quota()).toBeCloseTo(2.6, 2);
  expect(governedQuotaOf(rig.now())).toMatchObject({
    outcome: "applied",
    because: "governed: 2.6 cores left of 4",
  });
  rig.steps(1, 3.2);
  expect(rig.quota()).toBeCloseTo(0.4, 2);
  // The peak of the last 2 s.
  rig.steps(3, 1);
  expect(rig.quota()).toBeCloseTo(0.4, 2);
  rig.steps(1, 1);
  expect(rig.quota()).toBeCloseTo(0.44, 2);
  rig.steps(1, 1);
  expect(rig.quota()).toBeCloseTo(0.48, 2);
  rig.steps(25, 1);
  expect(rig.quota()).toBeCloseTo(2.6, 1);
  rig.steps(5, 4);
  expect(rig.quota()).toBe(0.05);
});

test.each(VERSIONS)("on v%d, a quota around the batch job is what it shares with those inside", (version) => {
  const rig = openRig(version);
  rig.limitBox(2);
  rig.inBox = 0.5;
  // More is left of the machine: 2.6 cores.
  rig.steps(2, 1);
  expect(rig.quota()).toBeCloseTo(1.3, 2);
  expect(governedQuotaOf(rig.now())?.because).toBe("governed: 1.3 cores left of 2");
  // Less is left of the machine, where those outside use it.
  rig.steps(1, 3);
  expect(rig.quota()).toBeCloseTo(0.6, 2);
});

test("a quota around the batch job does not count where nothing counts the use inside", () => {
  const rig = openRig(1);
  const fs = rig.machine.context.host.cgroupFs;
  const { read } = fs;
  fs.read = (path) => {
    if (path.startsWith("/sys/fs/cgroup/cpuacct/docker/abc/cpuacct."))
      throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    return read(path);
  };
  rig.limitBox(2);
  rig.steps(2, 2.5);
  expect(rig.quota()).toBeCloseTo(1.1, 2);
});

test.each(VERSIONS)(
  "on v%d, others on CPUs that the batch job cannot use take nothing from it",
  (version) => {
    const rig = openRig(version);
    rig.pin("0-1");
    rig.steps(2, 2);
    // 2 CPUs without a headroom of a tenth.
    expect(rig.quota()).toBeCloseTo(1.8, 2);
    rig.pin("3");
    // The cpuset is looked at each 5 s.
    rig.steps(11, 0.5);
    rig.steps(2, 0.5);
    expect(rig.quota()).toBeCloseTo(0.4, 2);
  },
);

test.each(VERSIONS)(
  "on v%d, nothing changes without a sample for 3 s, and the first one after it is none",
  (version) => {
    const rig = openRig(version);
    rig.steps(3, 1);
    const quota = rig.quota();
    rig.pass(3500);
    rig.steps(1, 3.9);
    expect(rig.quota()).toBe(quota);
    rig.steps(1, 3.9);
    expect(rig.quota()).toBe(0.05);
  },
);

test.each(VERSIONS)(
  "on v%d, the next daemon takes a quota over, or lifts it without a governor",
  (version) => {
    const rig = openRig(version);
    rig.steps(3, 3);
    expect(rig.quota()).toBeCloseTo(0.6, 2);
    rig.restart(ON);
    expect(rig.quota()).toBeCloseTo(0.6, 2);
    rig.steps(2, 1);
    // It grows from what it was, and does not begin again.
    expect(rig.quota()).toBeCloseTo(0.66, 2);
    for (const other of [{ ...ON, mode: "dry-run" } as const, undefined]) {
      rig.restart(other);
      expect(rig.quota()).toBeNull();
      expect(governedQuotaOf(rig.now())).toBeUndefined();
      rig.restart(ON);
      rig.steps(2, 3);
      expect(rig.quota()).not.toBeNull();
    }
  },
);

test("a quota is lifted when the weight counts again, and when the last live job has ended", () => {
  for (const pid of [30, 10]) {
    const rig = openRig(1);
    rig.steps(2, 3);
    expect(rig.quota()).not.toBeNull();
    rig.machine.end(pid);
    if (pid === 10) {
      const live = rig.machine.context.ledger.openJobs().find(({ jobId }) => jobId === "news") as RunningJob;
      rig.machine.context.ledger.recordSpec(live, { intent: null });
    }
    applyGates(rig.machine.context);
    rig.governor.check();
    expect(rig.quota()).toBeNull();
    expect(rig.governor.state()).toBeUndefined();
    expect(rig.events.flatMap(linesOf).at(-1)).toBe(
      "Job hd: the governor's CPU quota is lifted: its weight counts against all live jobs, or there is none",
    );
  }
});

test("a quota is lifted when the job is batch no more and keeps its limits", () => {
  for (const intent of [null, "nightly", "live"]) {
    const rig = openRig(1);
    rig.steps(2, 3);
    expect(rig.quota()).not.toBeNull();
    rig.machine.context.ledger.recordSpec(rig.job, { intent });
    applyGates(rig.machine.context);
    rig.governor.check();
    expect(rig.quota()).toBeNull();
    expect(governedQuotaOf(rig.now())).toBeUndefined();
    expect(rig.events.flatMap(linesOf).at(-1)).toBe(
      "Job hd: the governor's CPU quota is lifted: it is no batch job any more",
    );
  }
});

test.each(VERSIONS)("on v%d, a dry run reports what it would set, and writes nothing", (version) => {
  const rig = openRig(version, { mode: "dry-run", headroom: { cores: 0.5 } });
  rig.steps(3, 1.5);
  expect(rig.quota()).toBeNull();
  expect(governedQuotaOf(rig.now())).toBeUndefined();
  expect(rig.governor.state()).toMatchObject({ mode: "dry-run", leftCores: 2, othersCores: 1.5 });
  expect(rig.events.flatMap(linesOf)).toEqual([
    "Governor (dry run, nothing is written): 2.0 cores left of 4 for batch: hd 2.00 cores",
  ]);
  expect(rig.events.map(levelOf)).toEqual(["info"]);
});

test.each(VERSIONS)("on v%d, the job's own quota stays in force where it is tighter", (version) => {
  const rig = openRig(version, ON, { cpuMax: { quotaUsec: 100_000, periodUsec: 100_000 } });
  rig.steps(3, 1);
  expect(rig.quota()).toBe(1);
  expect(governedQuotaOf(rig.now())).toBeUndefined();
  rig.steps(3, 3);
  expect(rig.quota()).toBeCloseTo(0.6, 2);
  rig.steps(20, 1);
  expect(rig.quota()).toBe(1);
  expect(governedQuotaOf(rig.now())).toBeUndefined();
  // Around its own quota, the other one comes and goes without a line or an event for each time.
  for (let time = 0; time < 5; time++) {
    rig.steps(1, 2.8);
    expect(rig.quota()).toBeCloseTo(0.8, 2);
    rig.steps(10, 1);
    expect(rig.quota()).toBe(1);
  }
  expect(rig.events.map(levelOf).filter((level) => level === "info")).toHaveLength(1);
  const kinds = rig.machine.context.ledger.events(rig.job).map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === "limits_changed")).toHaveLength(1);
});

test.each(VERSIONS)(
  "on v%d, a quota that an operator loosens is set again twice, and then left alone",
  (version) => {
    const rig = openRig(version);
    rig.steps(3, 3);
    for (let time = 0; time < 2; time++) {
      rig.writeQuota("max 100000");
      rig.steps(2, 3);
      expect(rig.quota()).toBeCloseTo(0.6, 2);
    }
    rig.writeQuota("max 100000");
    rig.steps(5, 3);
    expect(rig.quota()).toBeNull();
    expect(rig.events.flatMap(linesOf).at(-1)).toBe(
      "Job hd: governor's cpu.max was changed from outside (wanted 12000 20000, found max): left alone for an hour",
    );
    rig.pass(3_600_000);
    rig.steps(3, 3);
    expect(rig.quota()).toBeCloseTo(0.6, 2);
  },
);

test.each(VERSIONS)("on v%d, a quota that an operator tightens stays", (version) => {
  const rig = openRig(version);
  rig.steps(3, 3);
  rig.writeQuota("10000 100000");
  rig.steps(6, 1);
  expect(rig.quota()).toBe(0.1);
  expect(governedQuotaOf(rig.now())).toBeUndefined();
});

test("a quota that the kernel refuses is tried again after a minute", () => {
  const rig = openRig(1);
  let writes = 0;
  const fs = rig.machine.context.host.cgroupFs;
  const write = (path: string): void => {
    writes++;
    throw Object.assign(new Error(`EINVAL: ${path}`), { code: "EINVAL" });
  };
  const host = { ...rig.machine.context.host, cgroupFs: { ...fs, write } };
  rig.restart(ON, host);
  rig.steps(5, 3);
  expect([writes, governedQuotaOf(rig.now())]).toEqual([1, undefined]);
  rig.pass(60_000);
  rig.steps(3, 3);
  expect(writes).toBe(2);
});

test("a batch job whose use nothing counts lets nothing change", () => {
  const rig = openRig(2);
  rig.steps(3, 1);
  const quota = rig.quota();
  const path = (rig.job.cgroup[0] as { path: string }).path;
  for (let step = 0; step < 10; step++) {
    rig.pass(STEP_MS);
    rig.machine.fake.set(`${path}/cpu.stat`, "nr_periods 0\n");
    rig.governor.step();
  }
  expect(rig.quota()).toBe(quota);
});

limitsTest("the kernel takes the quotas of a real job, which fall, grow and end with detach", () => {
  const proc = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
  clean.push(() => rmSync(proc, { recursive: true }));
  let [bootMs, busyTicks] = [1000, 0];
  const made = makeGovernor();
  const context = { ...made, host: { ...made.host, procRoot: proc, bootNow: () => bootMs } };
  const { job, pid } = governSleeper({ cpuWeight: 1 }, { intent: "batch" }, made);
  const because = "counts inside abc only, which still takes half beside live jobs: it holds other processes";
  const outcomes = job.outcomes.map((each) => onlyPartly(each, because));
  context.ledger.recordOutcomes(job, outcomes);
  const governor = startGovernor(context, { governor: ON }, new DaemonEvents());
  const steps = (count: number, others: number): void => {
    for (let step = 0; step < count; step++) {
      bootMs += STEP_MS;
      busyTicks += (others * STEP_MS) / 10;
      writeFileSync(`${proc}/stat`, `cpu  ${busyTicks} 0 0 0 0 0 0 0 0 0\n${CPUS}`);
      governor.step();
    }
  };
  const quota = () => readGovernedQuota(now(), jobCgroupOf(made, now()));
  const now = () => made.ledger.job(job.key) as RunningJob;
  steps(2, 3);
  // The sleeper uses next to nothing.
  expect(quota()).toMatchObject({ quotaCores: expect.closeTo(0.6, 1) });
  steps(1, 3.5);
  expect(quota()).toMatchObject({ quotaCores: expect.closeTo(0.1, 2) });
  steps(5, 4);
  expect(quota()).toMatchObject({ quotaCores: 0.05 });
  steps(4 + 10, 0);
  expect(quota()).toMatchObject({ quotaCores: expect.closeTo(0.05 * 1.1 ** 11, 2) });
  expect(governedQuotaOf(now())).toMatchObject({ outcome: "applied" });
  const before = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  expect(before).toContain("/ffrtmp-");
  detach(made, now(), jobCgroupOf(made, now()));
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).not.toContain("/ffrtmp-");
});
