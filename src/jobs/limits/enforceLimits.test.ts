import { expect } from "bun:test";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { type GovernedSleeper, useGovernedSleepers } from "../../../test/support/governedSleepers.ts";
import { directoriesOf } from "../../../test/support/jobs.ts";
import { lacksLimits, testIf } from "../../../test/support/sandbox.ts";
import type { Limits } from "../../limits/limits.ts";
import { realHost } from "../../linux/host.ts";
import type { Context } from "../context.ts";
import type { Job } from "../model/job.ts";
import { enforceLimits, type LimitRepair } from "./enforceLimits.ts";

const HALF_A_CORE: Limits = { cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } };
const HOUR_MS = 3_600_000;
const LOOSE: Record<string, string> = { "cpu.cfs_quota_us": "-1", "cpu.max": "max 100000" };

const { clean, governSleeper } = useGovernedSleepers();

const limitsTest = testIf(lacksLimits());

limitsTest("a limit that was not changed is left alone, and nothing is reported", () => {
  const governed = governSleeper(HALF_A_CORE);
  const before = structuredClone(governed.job);
  expect(enforce(governed)).toEqual([]);
  expect(governed.job).toEqual(before);
});

limitsTest(
  "a limit that was loosened is applied again three times, each time recorded, and then left alone",
  () => {
    const governed = governSleeper(HALF_A_CORE);
    const { path, loose, tight } = quotaFile(governed.job);
    for (let time = 1; time <= 3; time++) {
      writeFileSync(path, loose);
      expect(enforce(governed)).toEqual([
        { what: "cpu.max", did: "reapplied", wanted: "50000 100000", found: "max" },
      ]);
      expect(readFileSync(path, "utf8").trim()).toBe(tight);
      expect(governed.job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
    }
    writeFileSync(path, loose);
    expect(enforce(governed)).toEqual([
      { what: "cpu.max", did: "left_alone", wanted: "50000 100000", found: "max" },
    ]);
    expect(readFileSync(path, "utf8").trim()).toBe(loose);
    expect(governed.job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "refused", actual: "max" }]);
    expect(enforce(governed)).toEqual([]);
    expect(governed.context.ledger.events(governed.job).map(({ kind }) => kind)).toEqual([
      ...Array(3).fill("reapplied"),
      "left_alone",
    ]);
    expect(governed.context.ledger.job(governed.job.key)?.outcomes).toEqual(governed.job.outcomes);
  },
);

limitsTest(
  "a limit that was left alone is applied again an hour later, and one that is seldom undone always is",
  () => {
    const governed = governSleeper(HALF_A_CORE);
    const { path, loose, tight } = quotaFile(governed.job);
    let nowMs = governed.context.host.bootNow();
    const later = { ...governed.context, host: { ...governed.context.host, bootNow: () => nowMs } };
    const undo = () => {
      writeFileSync(path, loose);
      return enforce(governed, {}, later).map(({ did }) => did);
    };
    expect([undo(), undo(), undo(), undo()].flat()).toEqual([...Array(3).fill("reapplied"), "left_alone"]);
    nowMs += HOUR_MS - 1;
    expect(undo()).toEqual([]);
    nowMs += 1;
    expect(undo()).toEqual(["reapplied"]);
    expect(readFileSync(path, "utf8").trim()).toBe(tight);
    expect(governed.job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
    for (let time = 1; time <= 10; time++) {
      nowMs += HOUR_MS / 2;
      expect(undo()).toEqual(["reapplied"]);
    }
  },
);

limitsTest("the hour of a limit that was left alone does not change when the wall clock is set back", () => {
  const governed = governSleeper(HALF_A_CORE);
  const { path, loose } = quotaFile(governed.job);
  const { host } = governed.context;
  const undo = (now: () => number, bootNow: () => number) => {
    writeFileSync(path, loose);
    const context = { ...governed.context, host: { ...host, now, bootNow } };
    return enforce(governed, {}, context).map(({ did }) => did);
  };
  const dids = [1, 2, 3, 4].flatMap(() => undo(host.now, host.bootNow));
  expect(dids).toEqual([...Array(3).fill("reapplied"), "left_alone"]);
  const nowMs = host.now() - 24 * HOUR_MS;
  const bootMs = host.bootNow() + HOUR_MS;
  expect(
    undo(
      () => nowMs,
      () => bootMs,
    ),
  ).toEqual(["reapplied"]);
});

limitsTest("a limit that another program tightened stays as it is", () => {
  const governed = governSleeper(HALF_A_CORE);
  const { path, tighter } = quotaFile(governed.job);
  writeFileSync(path, tighter);
  expect(enforce(governed)).toEqual([]);
  expect(readFileSync(path, "utf8").trim()).toBe(tighter);
});

limitsTest(
  "a repair that the kernel refuses is reported once, and tried again after a wait that doubles",
  () => {
    const governed = governSleeper(HALF_A_CORE);
    const { path, loose, tight } = quotaFile(governed.job);
    writeFileSync(path, loose);
    let nowMs = governed.context.host.bootNow();
    let tries = 0;
    const write = () => {
      tries++;
      throw Object.assign(new Error("EROFS"), { code: "EROFS" });
    };
    const host = { ...governed.context.host, bootNow: () => nowMs };
    const readOnly = { ...host, cgroupFs: { ...host.cgroupFs, write } };
    const triesAfter = (ms: number): number => {
      nowMs += ms;
      tries = 0;
      repairs = enforce(governed, {}, { ...governed.context, host: readOnly });
      return tries;
    };
    let repairs: LimitRepair[] = [];
    const perTry = triesAfter(0);
    const drift = { what: "cpu.max", wanted: "50000 100000", found: "max" } as const;
    expect(repairs).toEqual([{ ...drift, did: "repair_refused" }]);
    expect(governed.job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "refused" }]);
    expect(governed.job.outcomes[0]?.because).toContain("EROFS (mounted read-only) writing");
    for (let wait = 1000; wait < 2 * HOUR_MS; wait *= 2) {
      const longest = Math.min(wait, HOUR_MS);
      expect([triesAfter(longest - 1), triesAfter(1), repairs]).toEqual([0, perTry, []]);
    }
    nowMs += HOUR_MS;
    expect(enforce(governed, {}, { ...governed.context, host })).toEqual([{ ...drift, did: "reapplied" }]);
    expect(readFileSync(path, "utf8").trim()).toBe(tight);
    expect(governed.job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
    writeFileSync(path, loose);
    triesAfter(0);
    expect(repairs).toEqual([{ ...drift, did: "repair_refused" }]);
  },
);

limitsTest("a limit that was given up stays so when another one is applied again", () => {
  const governed = governSleeper({ ...HALF_A_CORE, pidsMax: 500 });
  const { path, loose } = quotaFile(governed.job);
  for (let time = 1; time <= 4; time++) {
    writeFileSync(path, loose);
    enforce(governed);
  }
  const pids = governed.job.cgroup
    .map((each) => `${each.path}/pids.max`)
    .find(realHost().cgroupFs.exists) as string;
  writeFileSync(pids, "max");
  expect(enforce(governed)).toMatchObject([{ what: "pids.max", did: "reapplied" }]);
  expect(readFileSync(pids, "utf8")).toBe("500\n");
  expect(readFileSync(path, "utf8").trim()).toBe(loose);
  expect(governed.job.outcomes).toMatchObject([{ outcome: "refused" }, { outcome: "applied" }]);
});

limitsTest("another value of the same limit is applied again three times of its own", () => {
  const governed = governSleeper(HALF_A_CORE);
  const { path, loose } = quotaFile(governed.job);
  for (let time = 1; time <= 4; time++) {
    writeFileSync(path, loose);
    enforce(governed);
  }
  governed.job = {
    ...governed.job,
    limits: { cpuMax: { quotaUsec: 40_000, periodUsec: 100_000 } },
    outcomes: [{ limit: "cpu.max", outcome: "applied", wanted: "40000 100000", actual: "40000 100000" }],
  };
  expect(enforce(governed)).toMatchObject([{ did: "reapplied", wanted: "40000 100000" }]);
});

limitsTest("a process that was moved back to its origin is moved in again", () => {
  const governed = governSleeper(HALF_A_CORE);
  const inside = readFileSync(`/proc/${governed.pid}/cgroup`, "utf8");
  for (const { origin } of directoriesOf(governed.job))
    writeFileSync(`${origin}/cgroup.procs`, String(governed.pid));
  expect(enforce(governed)).toMatchObject([{ what: "membership", did: "reapplied" }]);
  expect(readFileSync(`/proc/${governed.pid}/cgroup`, "utf8")).toBe(inside);
  expect(governed.job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
  expect(enforce(governed)).toEqual([]);

  for (let time = 2; time <= 4; time++) {
    for (const { origin } of directoriesOf(governed.job))
      writeFileSync(`${origin}/cgroup.procs`, String(governed.pid));
    expect(enforce(governed)).toMatchObject([{ did: time === 4 ? "left_alone" : "reapplied" }]);
  }
  expect(governed.job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "refused" }]);
  expect(enforce(governed)).toEqual([]);
});

limitsTest(
  "a process that was moved to another cgroup stays there, and its limit is not recorded as in force",
  () => {
    const governed = governSleeper(HALF_A_CORE);
    const { directory, origin } = quotaFile(governed.job);
    const elsewhere = `${origin}/ffrtmp-test-elsewhere-${process.pid}`;
    mkdirSync(elsewhere);
    clean.push(() => rmdirSync(elsewhere));
    clean.push(() => writeFileSync(`${directory}/cgroup.procs`, String(governed.pid)));
    writeFileSync(`${elsewhere}/cgroup.procs`, String(governed.pid));

    expect(enforce(governed)).toEqual([]);
    expect(readFileSync(`/proc/${governed.pid}/cgroup`, "utf8")).toContain("ffrtmp-test-elsewhere");
    expect(governed.job.outcomes).toMatchObject([
      { limit: "cpu.max", outcome: "refused", because: `it is in ${elsewhere}` },
    ]);
    const once = structuredClone(governed.job.outcomes);
    enforce(governed);
    expect(governed.job.outcomes).toEqual(once);
  },
);

limitsTest("processes in cgroups that the workload created below the job's count as inside", () => {
  const governed = governSleeper(HALF_A_CORE);
  const own = `${quotaFile(governed.job).directory}/own`;
  mkdirSync(own);
  clean.push(() => rmdirSync(own));
  clean.push(() => writeFileSync(`${quotaFile(governed.job).directory}/cgroup.procs`, String(governed.pid)));
  writeFileSync(`${own}/cgroup.procs`, String(governed.pid));
  expect(enforce(governed)).toEqual([]);
  expect(governed.job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
});

limitsTest("a tenant's total that was loosened is applied again, too", () => {
  const tenant = { name: "acme", limits: HALF_A_CORE };
  const governed = governSleeper({}, { tenant });
  const group = directoriesOf(governed.job).flatMap(({ tenant }) => tenant ?? []);
  const [file, loose] = Object.entries(LOOSE).find(([name]) =>
    group.some((path) => realHost().cgroupFs.exists(`${path}/${name}`)),
  ) as [string, string];
  const path = group.map((each) => `${each}/${file}`).find(realHost().cgroupFs.exists) as string;
  const tight = readFileSync(path, "utf8");
  writeFileSync(path, loose);
  expect(enforce(governed, tenant.limits)).toEqual([
    { what: "tenant's cpu.max", did: "reapplied", wanted: "50000 100000", found: "max" },
  ]);
  expect(readFileSync(path, "utf8")).toBe(tight);
  expect(governed.job.outcomes).toMatchObject([{ limit: "cpu.max", of: "tenant", outcome: "applied" }]);
  expect(enforce(governed, tenant.limits)).toEqual([]);
});

/** Enforces the limits once. The next call continues with the job as it is recorded then. */
function enforce(
  governed: GovernedSleeper,
  total: Limits = {},
  context: Context = governed.context,
): LimitRepair[] {
  const { job, repairs } = enforceLimits(context, governed.job, total);
  governed.job = job;
  return repairs;
}

function quotaFile(job: Job) {
  for (const { path: directory, origin } of directoriesOf(job)) {
    for (const [file, loose] of Object.entries(LOOSE)) {
      const path = `${directory}/${file}`;
      if (!realHost().cgroupFs.exists(path)) continue;
      const isV2 = file === "cpu.max";
      const tight = isV2 ? "50000 100000" : "50000";
      const tighter = isV2 ? "30000 100000" : "30000";
      return { directory, origin, path, loose, tight, tighter };
    }
  }
  throw new Error("the job has no CPU quota");
}
