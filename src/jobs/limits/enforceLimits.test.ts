import { expect } from "bun:test";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { useGovernedSleepers } from "../../../test/support/governedSleepers.ts";
import { lacksLimits, testIf } from "../../../test/support/sandbox.ts";
import type { JobRecord } from "../../ledger/records.ts";
import type { Limits } from "../../limits/limits.ts";
import { realHost } from "../../linux/host.ts";
import { enforceLimits } from "./enforceLimits.ts";

const HALF_A_CORE: Limits = { cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } };
const HOUR_MS = 3_600_000;
const LOOSE: Record<string, string> = { "cpu.cfs_quota_us": "-1", "cpu.max": "max 100000" };

const { clean, governSleeper } = useGovernedSleepers();

const limitsTest = testIf(lacksLimits());

limitsTest("what nobody undid is left alone, and nothing is told", () => {
  const { context, job } = governSleeper(HALF_A_CORE);
  const before = structuredClone(job);
  expect(enforceLimits(context, job)).toEqual([]);
  expect(job).toEqual(before);
});

limitsTest("a limit that somebody loosened is put back three times, each on record, and then left", () => {
  const { context, job } = governSleeper(HALF_A_CORE);
  const { path, loose, tight } = quotaFile(job);
  for (let time = 1; time <= 3; time++) {
    writeFileSync(path, loose);
    expect(enforceLimits(context, job)).toEqual([
      { what: "cpu.max", did: "reapplied", wanted: "50000 100000", found: "max" },
    ]);
    expect(readFileSync(path, "utf8").trim()).toBe(tight);
    expect(job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
  }
  writeFileSync(path, loose);
  expect(enforceLimits(context, job)).toEqual([
    { what: "cpu.max", did: "left_alone", wanted: "50000 100000", found: "max" },
  ]);
  expect(readFileSync(path, "utf8").trim()).toBe(loose);
  expect(job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "refused", actual: "max" }]);
  expect(enforceLimits(context, job)).toEqual([]);
  expect(context.ledger.events(job).map(({ kind }) => kind)).toEqual([
    ...Array(3).fill("reapplied"),
    "left_alone",
  ]);
  expect(context.ledger.job(job.key)?.outcomes).toEqual(job.outcomes);
});

limitsTest(
  "an hour later a limit that was left alone is put back again, and one undone now and then always is",
  () => {
    const { context, job } = governSleeper(HALF_A_CORE);
    const { path, loose, tight } = quotaFile(job);
    let nowMs = context.host.now();
    const later = { ...context, host: { ...context.host, now: () => nowMs } };
    const undo = () => {
      writeFileSync(path, loose);
      return enforceLimits(later, job).map(({ did }) => did);
    };
    expect([undo(), undo(), undo(), undo()].flat()).toEqual([...Array(3).fill("reapplied"), "left_alone"]);
    nowMs += HOUR_MS - 1;
    expect(undo()).toEqual([]);
    nowMs += 1;
    expect(undo()).toEqual(["reapplied"]);
    expect(readFileSync(path, "utf8").trim()).toBe(tight);
    expect(job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
    for (let time = 1; time <= 10; time++) {
      nowMs += HOUR_MS / 2;
      expect(undo()).toEqual(["reapplied"]);
    }
  },
);

limitsTest("a limit that somebody tightened is theirs", () => {
  const { context, job } = governSleeper(HALF_A_CORE);
  const { path, tighter } = quotaFile(job);
  writeFileSync(path, tighter);
  expect(enforceLimits(context, job)).toEqual([]);
  expect(readFileSync(path, "utf8").trim()).toBe(tighter);
});

limitsTest("a limit that cannot be put back is left at once, and not called put back", () => {
  const { context, job } = governSleeper(HALF_A_CORE);
  const { path, loose } = quotaFile(job);
  writeFileSync(path, loose);
  const write = () => {
    throw Object.assign(new Error("EROFS"), { code: "EROFS" });
  };
  const host = { ...context.host, cgroupFs: { ...context.host.cgroupFs, write } };
  const expected = { what: "cpu.max", did: "left_alone", wanted: "50000 100000", found: "max" } as const;
  expect(enforceLimits({ ...context, host }, job)).toEqual([expected]);
  expect(job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "refused" }]);
  expect(job.outcomes[0]?.because).toContain("EROFS (mounted read-only) writing");
});

limitsTest("a limit that was given up stays so when another one is put back", () => {
  const { context, job } = governSleeper({ ...HALF_A_CORE, pidsMax: 500 });
  const { path, loose } = quotaFile(job);
  for (let time = 1; time <= 4; time++) {
    writeFileSync(path, loose);
    enforceLimits(context, job);
  }
  const pids = job.cgroup.map((each) => `${each.path}/pids.max`).find(realHost().cgroupFs.exists) as string;
  writeFileSync(pids, "max");
  expect(enforceLimits(context, job)).toMatchObject([{ what: "pids.max", did: "reapplied" }]);
  expect(readFileSync(pids, "utf8")).toBe("500\n");
  expect(readFileSync(path, "utf8").trim()).toBe(loose);
  expect(job.outcomes).toMatchObject([{ outcome: "refused" }, { outcome: "applied" }]);
});

limitsTest("another wish for the same limit is put back three times of its own", () => {
  const { context, job } = governSleeper(HALF_A_CORE);
  const { path, loose } = quotaFile(job);
  for (let time = 1; time <= 4; time++) {
    writeFileSync(path, loose);
    enforceLimits(context, job);
  }
  job.limits = { cpuMax: { quotaUsec: 40_000, periodUsec: 100_000 } };
  job.outcomes = [{ limit: "cpu.max", outcome: "applied", wanted: "40000 100000", actual: "40000 100000" }];
  expect(enforceLimits(context, job)).toMatchObject([{ did: "reapplied", wanted: "40000 100000" }]);
});

limitsTest("a process that somebody moved to where it came from is taken in again", () => {
  const { context, job, pid } = governSleeper(HALF_A_CORE);
  const inside = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  for (const { origin } of job.cgroup) writeFileSync(`${origin}/cgroup.procs`, String(pid));
  expect(enforceLimits(context, job)).toMatchObject([{ what: "membership", did: "reapplied" }]);
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(inside);
  expect(job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
  expect(enforceLimits(context, job)).toEqual([]);

  for (let time = 2; time <= 4; time++) {
    for (const { origin } of job.cgroup) writeFileSync(`${origin}/cgroup.procs`, String(pid));
    expect(enforceLimits(context, job)).toMatchObject([{ did: time === 4 ? "left_alone" : "reapplied" }]);
  }
  expect(job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "refused" }]);
  expect(enforceLimits(context, job)).toEqual([]);
});

limitsTest("a process that somebody put elsewhere stays there, and its limit is not called in force", () => {
  const { context, job, pid } = governSleeper(HALF_A_CORE);
  const { directory, origin } = quotaFile(job);
  const elsewhere = `${origin}/ffrtmp-test-elsewhere-${process.pid}`;
  mkdirSync(elsewhere);
  clean.push(() => rmdirSync(elsewhere));
  clean.push(() => writeFileSync(`${directory}/cgroup.procs`, String(pid)));
  writeFileSync(`${elsewhere}/cgroup.procs`, String(pid));

  expect(enforceLimits(context, job)).toEqual([]);
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain("ffrtmp-test-elsewhere");
  expect(job.outcomes).toMatchObject([
    { limit: "cpu.max", outcome: "refused", because: `it is in ${elsewhere}` },
  ]);
  const once = structuredClone(job.outcomes);
  enforceLimits(context, job);
  expect(job.outcomes).toEqual(once);
});

limitsTest("processes in cgroups that the workload made below ours count as inside", () => {
  const { context, job, pid } = governSleeper(HALF_A_CORE);
  const own = `${quotaFile(job).directory}/own`;
  mkdirSync(own);
  clean.push(() => rmdirSync(own));
  clean.push(() => writeFileSync(`${quotaFile(job).directory}/cgroup.procs`, String(pid)));
  writeFileSync(`${own}/cgroup.procs`, String(pid));
  expect(enforceLimits(context, job)).toEqual([]);
  expect(job.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
});

limitsTest("a tenant's total that somebody loosened is put back, too", () => {
  const tenant = { name: "acme", limits: HALF_A_CORE };
  const { context, job } = governSleeper({}, { tenant });
  const group = job.cgroup.flatMap(({ tenant }) => tenant ?? []);
  const [file, loose] = Object.entries(LOOSE).find(([name]) =>
    group.some((path) => realHost().cgroupFs.exists(`${path}/${name}`)),
  ) as [string, string];
  const path = group.map((each) => `${each}/${file}`).find(realHost().cgroupFs.exists) as string;
  const tight = readFileSync(path, "utf8");
  writeFileSync(path, loose);
  expect(enforceLimits(context, job, tenant.limits)).toEqual([
    { what: "tenant's cpu.max", did: "reapplied", wanted: "50000 100000", found: "max" },
  ]);
  expect(readFileSync(path, "utf8")).toBe(tight);
  expect(job.outcomes).toMatchObject([{ limit: "cpu.max", of: "tenant", outcome: "applied" }]);
  expect(enforceLimits(context, job, tenant.limits)).toEqual([]);
});

function quotaFile({ cgroup }: JobRecord) {
  for (const { path: directory, origin } of cgroup) {
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
