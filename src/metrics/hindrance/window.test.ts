import { describe, expect, it } from "bun:test";
import { someJob } from "../../../test/support/jobs.ts";
import { IDLE_NETWORK, someSample } from "../../../test/support/samples.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import type { Counters, Details } from "../../limits/counters.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import type { JobDetails } from "../jobReading.ts";
import type { MeasuredUse } from "../measuredUse.ts";
import { NO_MEDIA } from "../media/mediaReader.ts";
import type { JobNetwork } from "../network/networkReader.ts";
import type { Evidence } from "./judge.ts";
import type { Pace } from "./pace.ts";
import { EvidenceWindow, type Measured } from "./window.ts";

const LIVE: Pace = { targetSpeed: 1, input: "tcp", isPaced: false };

interface At extends Partial<Pick<Measured, "devices"> & Pick<MeasuredUse, "pace">> {
  second: number;
  counters?: Partial<Counters>;
  /** Those that were read at this second. Absent: those of the sample before. */
  details?: Partial<Details>;
  network?: Partial<JobNetwork> | null;
  media?: Partial<MeasuredUse["media"]>;
  gpu?: MeasuredUse["gpu"];
  tenantThrottled?: number;
  /** Of all CPUs together, 100 in a second for each of four. */
  busyTicks?: number;
  job?: OpenJob;
}

/** Adds samples, and returns the evidence of the last one. */
function evidenceOf(...samples: At[]): Evidence {
  const window = new EvidenceWindow();
  let last: Evidence | undefined;
  let known: JobDetails | undefined;
  for (const each of samples) {
    const { use, ...others } = measured(each);
    known = known === undefined || each.details ? { ...use.now.details, ...each.details } : known;
    last = window.add({ ...others, use: { ...use, now: { ...use.now, details: known } } }).all();
  }
  return last as Evidence;
}

function measured({ second, network = {}, devices = [], busyTicks = 0, ...rest }: At): Measured {
  const { counters = {}, media = {}, gpu = null, tenantThrottled, job = someJob() } = rest;
  const sample = someSample(job, counters, { gpu });
  const tenant = {
    ...sample.now.counters,
    throttledPeriods: tenantThrottled ?? null,
    quotaPeriods: second * 10,
  };
  const tenantCounters = new Map(tenantThrottled === undefined ? [] : [["/tenant", tenant]]);
  const atBootMs = second * 1000;
  const details = { ...sample.now.details, atBootMs };
  const now = { ...sample.now, atBootMs, details, tenantCounters };
  const ticks = { busy: busyTicks, all: second * 400 };
  const machine = { cpuCount: 4, cpuTicks: ticks };
  return {
    use: {
      ...sample,
      now,
      network: network === null ? null : { ...IDLE_NETWORK, ...network },
      media: { ...NO_MEDIA, ...media },
      pace: "pace" in rest ? rest.pace : LIVE,
    },
    machine,
    devices,
  };
}

describe("the evidence", () => {
  it("says that no quota stops a job without one, where no cgroup counts its periods", () => {
    const [wanted, actual] = ["50000 100000", "50000 100000"];
    const quota: LimitOutcome = { limit: "cpu.max", outcome: "applied", wanted, actual };
    const evidence = (outcomes: LimitOutcome[]) => {
      const job = { ...someJob(), outcomes };
      const uncounted = { job, counters: { quotaPeriods: null, throttledPeriods: null } };
      const window = new EvidenceWindow();
      const add = (second: number): Evidence => {
        const { use, ...others } = measured({ ...uncounted, second });
        // As of a tenant with a total of processes.
        const tenantCounters = new Map([["/tenant", use.now.counters]]);
        return window.add({ ...others, use: { ...use, now: { ...use.now, tenantCounters } } });
      };
      add(1);
      return add(2);
    };
    expect(evidence([])).toMatchObject({ throttledPercent: 0, tenantThrottledPercent: 0 });
    expect(evidence([quota])).toMatchObject({ throttledPercent: null, tenantThrottledPercent: 0 });
    expect(evidence([{ ...quota, of: "tenant" }])).toMatchObject({
      throttledPercent: 0,
      tenantThrottledPercent: null,
    });
    expect(evidence([{ limit: "cpu.max", outcome: "refused", wanted, because: "EINVAL" }])).toMatchObject({
      throttledPercent: 0,
    });
  });

  it("is of the last 15 s", () => {
    const counted = (seconds: number, throttledPeriods: number): Partial<Counters> => ({
      cpuUsec: seconds * 500_000,
      quotaPeriods: seconds * 10,
      throttledPeriods,
      cpuPressureUsec: seconds * 250_000,
      memoryFullPressureUsec: 0,
      ioFullPressureUsec: seconds * 100_000,
    });
    // Throttled in each period of the first 5 s, and in none afterwards.
    const early = [0, 5].map((second) => ({ second, counters: counted(second, second * 10) }));
    const late = [10, 15, 20].map((second) => ({
      second,
      counters: counted(second, 50),
      busyTicks: second * 200,
    }));
    expect(evidenceOf(...early, late[0] as At).throttledPercent).toBe(50);
    expect(evidenceOf(...early, ...late)).toMatchObject({
      cpuCores: 0.5,
      throttledPercent: 0,
      cpuPressurePercent: 25,
      memoryFullPercent: 0,
      ioFullPercent: 10,
      availableCores: 4,
    });
  });

  it("is unknown in the first sample, except for the pace and the speed", () => {
    const speed = { factor: 0.5, overMs: 15_000 };
    const {
      isLive,
      targetSpeed,
      speed: factor,
      availableCores,
      ...others
    } = evidenceOf({ second: 1, media: { speed } });
    expect({ isLive, targetSpeed, factor, availableCores }).toEqual({
      ...{ isLive: true, targetSpeed: 1 },
      ...{ factor: 0.5, availableCores: 4 },
    });
    const { disks, ...unknown } = others;
    expect(new Set(Object.values({ ...unknown, ...disks }))).toEqual(new Set([null]));
  });

  it("has no speed of a job that is finishing, and no pace of a hidden command line", () => {
    const media = { speed: { factor: 0, overMs: 15_000 }, state: "finishing" } as const;
    expect(evidenceOf({ second: 1, media }).speed).toBeNull();
    expect(evidenceOf({ second: 1, pace: null })).toMatchObject({ isLive: null, targetSpeed: null });
  });

  it("separates the CPU time of the job from that of others", () => {
    const at = (second: number): At => ({
      second,
      counters: { cpuUsec: second * 1_500_000 },
      busyTicks: second * 350,
    });
    expect(evidenceOf(at(0), at(10))).toMatchObject({ cpuCores: 1.5, otherCores: 2 });
  });

  it("knows the CPUs that limits leave", () => {
    const cores = (limits: OpenJob["limits"]) =>
      evidenceOf({ second: 1, job: someJob({ limits }) }).availableCores;
    expect(cores({ cpus: "0-1" })).toBe(2);
    expect(cores({ cpuMax: { quotaUsec: 150_000, periodUsec: 100_000 } })).toBe(1.5);
    expect(cores({ cpuMax: { quotaUsec: 900_000, periodUsec: 100_000 } })).toBe(4);
  });

  it("has the throttling of the tenant, and 0 without one", () => {
    expect(evidenceOf({ second: 0 }, { second: 10 }).tenantThrottledPercent).toBe(0);
    const at = (second: number, tenantThrottled: number): At => ({ second, tenantThrottled });
    expect(evidenceOf(at(0, 0), at(10, 60)).tenantThrottledPercent).toBe(60);
  });
});

describe("the use of disks", () => {
  const at = (second: number, megabytesRead: number, details?: Partial<Details>): At => ({
    ...{ second, counters: { ioReadBytes: megabytesRead * 1e6, ioWriteBytes: 0 } },
    ...(details && { details }),
  });

  it("is that of the whole time: the kernel reads ahead in steps", () => {
    const samples = [at(0, 0), at(5, 0), at(10, 30)];
    expect(evidenceOf(...samples).disks).toMatchObject({ rbps: 3e6, wbps: 0 });
  });

  it("has the part that was read again, from details that are read less often", () => {
    const samples = [
      at(0, 0, { rereadBytes: 5e6, ioReadOperations: 0 }),
      at(10, 20, { rereadBytes: 20e6, ioReadOperations: 700 }),
    ];
    const expected = { rereadPercent: 75, disks: { rbps: 2e6, riops: 70 } };
    expect(evidenceOf(...samples)).toMatchObject(expected);
    expect(evidenceOf(...samples, at(12, 24))).toMatchObject(expected);
  });

  it("is unknown where nothing was read, or the kernel does not count it", () => {
    const details = { rereadBytes: 0 };
    expect(evidenceOf(at(0, 0, details), at(10, 0, details)).rereadPercent).toBeNull();
    expect(evidenceOf(at(0, 0, {}), at(10, 9, {})).rereadPercent).toBeNull();
    expect(evidenceOf(at(0, 0, details), at(1, 9))).toMatchObject({ rereadPercent: null });
  });
});

describe("the backlog", () => {
  const at = (second: number, network: Partial<JobNetwork> | null): At => ({ second, network });

  it("is the least of the time, and grows when more waits than at its begin", () => {
    const samples = [
      at(0, { sendBacklogBytes: 100, sendBacklogSeconds: 2 }),
      at(5, { sendBacklogBytes: 900, sendBacklogSeconds: 9 }),
      at(10, { sendBacklogBytes: 300, sendBacklogSeconds: 3 }),
    ];
    expect(evidenceOf(...samples)).toMatchObject({ sendBacklogSeconds: 2, isSendBacklogGrowing: true });
  });

  it("is none without connections, and unknown where they are not visible", () => {
    const none = { connections: 0, sendBacklogSeconds: null, windowLimitedPercent: null };
    expect(evidenceOf(at(0, none), at(5, none))).toMatchObject({
      ...{ sendBacklogSeconds: 0, isSendBacklogGrowing: false },
      receiverLimitedPercent: 0,
    });
    for (const samples of [
      [at(0, null), at(5, {})],
      [at(0, {}), at(5, null)],
    ])
      expect(evidenceOf(...samples)).toMatchObject({
        ...{ sendBacklogSeconds: null, isSendBacklogGrowing: null },
        ...{ receiverLimitedPercent: null, isInputQuiet: null },
      });
  });

  it("counts the receiver's window by time, and is unknown where most of it is", () => {
    const limited = (second: number, windowLimitedPercent: number | null) =>
      at(second, { windowLimitedPercent });
    const first = limited(0, null);
    expect(evidenceOf(first, limited(8, 100), limited(10, 0)).receiverLimitedPercent).toBe(80);
    expect(evidenceOf(first, limited(8, 100), limited(10, null)).receiverLimitedPercent).toBe(100);
    expect(evidenceOf(first, limited(2, 100), limited(10, null)).receiverLimitedPercent).toBeNull();
  });
});

describe("the input", () => {
  const at = (second: number, receiveBacklogBytes: number, pace: Pace = LIVE): At => ({
    ...{ second, pace },
    network: { receiveBacklogBytes },
  });

  it("is quiet when all that arrived was read, and waits when it never was", () => {
    expect(evidenceOf(at(0, 0), at(5, 1000))).toMatchObject({ isInputQuiet: true, isInputWaiting: false });
    expect(evidenceOf(at(0, 99_000), at(5, 70_000))).toMatchObject({
      isInputQuiet: false,
      isInputWaiting: true,
    });
    expect(evidenceOf(at(0, 0), at(5, 70_000))).toMatchObject({ isInputQuiet: false, isInputWaiting: false });
  });

  it("is known over TCP and of files only, and a job that delays itself leaves some", () => {
    const both = (pace: Pace) => evidenceOf(at(0, 99_000, pace), at(5, 99_000, pace));
    expect(both({ ...LIVE, isPaced: true })).toMatchObject({ isInputQuiet: false, isInputWaiting: null });
    expect(both({ ...LIVE, input: "file" })).toMatchObject({ isInputQuiet: false, isInputWaiting: false });
    expect(both({ ...LIVE, input: "other" })).toMatchObject({ isInputQuiet: null, isInputWaiting: null });
    const closed = { second: 5, network: { connections: 0 } };
    expect(evidenceOf({ second: 0, network: { connections: 0 } }, closed).isInputQuiet).toBeNull();
  });
});

describe("the GPU", () => {
  const gpu = { memoryBytes: 0, smPercent: 0, encoderPercent: 40, decoderPercent: 5, encoderSessions: 1 };
  const device = (pid: number, encoderPercent: number | null, decoderPercent: number | null) => ({
    index: 0,
    name: null,
    device: { encoderPercent, decoderPercent, smPercent: 1, memoryUsedBytes: null, memoryTotalBytes: null },
    processes: [{ pid }],
  });

  it("is the busiest engine of the devices that the job uses", () => {
    const devices = [device(1, 97, 30), device(2, 100, 100), device(1, null, 60)];
    expect(evidenceOf({ second: 1, gpu, devices })).toMatchObject({ gpuPercent: 97, ownGpuPercent: 40 });
  });

  it("is unknown where the job uses none, or its figures are hidden", () => {
    const devices = [device(1, null, null)];
    for (const sample of [
      { second: 1, gpu, devices },
      { second: 1, devices: [device(1, 97, 1)] },
    ])
      expect(evidenceOf(sample)).toMatchObject({ gpuPercent: null, ownGpuPercent: null });
  });
});
