import { limitsInForce } from "../../jobs/job.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { parseCpuList } from "../../limits/grammar.ts";
import { isInForce, type LimitOutcome } from "../../limits/outcome.ts";
import type { DeviceReading } from "../../sys/nvml.ts";
import type { JobReading } from "../jobReading.ts";
import { busyPercentBetween, type CpuReading } from "../machine.ts";
import type { MeasuredUse } from "../measuredUse.ts";
import type { JobNetwork } from "../network/networkReader.ts";
import { type DetailRates, detailRatesBetween, type Rates, ratesBetween } from "../rates.ts";
import { tenantThrottledPercent } from "../tenants.ts";
import type { Evidence } from "./judge.ts";
import { type Pace, paceByIntent } from "./pace.ts";

/** The span over which speed is measured: what happens outside of it does not explain the speed. */
const WINDOW_MS = 15_000;
/** The bytes that wait in a receive queue while a job reads steadily. */
export const STEADY_QUEUE_BYTES = 64 * 1024;

/** All that is measured of a job in one sample. */
export interface Measured {
  readonly use: MeasuredUse;
  readonly machine: CpuReading;
  readonly devices: readonly DeviceReading[];
}

interface Point extends Pick<Measured, "machine"> {
  readonly reading: JobReading;
  readonly network: JobNetwork | null;
}

/** The samples of one job in the last 15 s. One sample says too little: a quota has ten periods in a second. */
export class EvidenceWindow {
  #points: Point[] = [];

  /** Adds a sample, and returns what the samples say together. */
  add({ use, machine, devices }: Measured): Evidence {
    const pace = use.pace && paceByIntent(use.pace, use.job.intent);
    const point: Point = { reading: use.now, network: use.network, machine };
    this.#points.push(point);
    const isOld = ({ reading }: Point) => use.now.atBootMs - reading.atBootMs >= WINDOW_MS;
    while (this.#points.length > 2 && isOld(this.#points[1] as Point)) this.#points.shift();
    const first = this.#points[0] as Point;
    const rates = first === point ? null : ratesBetween(first.reading, use.now);
    const cpuCores = rates?.cpuPercent == null ? null : rates.cpuPercent / 100;
    return {
      isLive: pace === null ? null : pace.targetSpeed !== null,
      targetSpeed: pace?.targetSpeed ?? null,
      // A job that has read all of its input writes the rest as fast as it can.
      speed: use.media.state === "finishing" ? null : (use.media.speed?.factor ?? null),
      cpuCores,
      ...pressureOf(rates),
      ...diskUseOf(rates, detailRatesBetween(first.reading.details, use.now.details)),
      throttledPercent:
        rates === null ? null : (rates.throttledPercent ?? withoutPeriods(use.job, undefined)),
      tenantThrottledPercent: this.#tenantThrottled(first, use),
      availableCores: availableCoresOf(use, machine),
      otherCores: otherCores(first.machine, machine, cpuCores),
      ...backlogOf(this.#points),
      ...inputOf(this.#points, pace),
      ...gpuOf(use, devices),
    };
  }

  #tenantThrottled({ reading }: Point, { now, job }: Measured["use"]): number | null {
    if (reading === now) return null;
    if (now.tenantCounters.size === 0) return 0;
    return tenantThrottledPercent(reading, now) ?? withoutPeriods(job, "tenant");
  }
}

/**
 * Returns 0 for a job or a tenant that no quota of ffrtmp can stop: it may have no cgroup that counts periods, on v1 none in the
 * `cpu` hierarchy. `null`: it has a quota, and what that did is not known.
 */
function withoutPeriods(job: OpenJob, of: LimitOutcome["of"]): 0 | null {
  const hasQuota = job.outcomes.some((each) => each.of === of && each.limit === "cpu.max" && isInForce(each));
  return hasQuota ? null : 0;
}

function pressureOf(rates: Rates | null) {
  return {
    cpuPressurePercent: rates?.pressure.cpuSomePercent ?? null,
    memoryFullPercent: rates?.pressure.memoryFullPercent ?? null,
    ioFullPercent: rates?.pressure.ioFullPercent ?? null,
  };
}

/** `details`: they are read less often, so that their rates are of another time, and `null` where they were not read again. */
function diskUseOf(rates: Rates | null, details: DetailRates): Pick<Evidence, "rereadPercent" | "disks"> {
  const [rbps, wbps] = [rates?.readBytesPerSecond ?? null, rates?.writeBytesPerSecond ?? null];
  const reread = details.rereadBytesPerSecond;
  return {
    rereadPercent:
      rbps === null || reread === null || rbps === 0 ? null : Math.min(100, (100 * reread) / rbps),
    disks: { rbps, wbps, riops: details.readOperationsPerSecond, wiops: details.writeOperationsPerSecond },
  };
}

function availableCoresOf({ job }: Measured["use"], { cpuCount }: CpuReading): number {
  const { cpus, cpuMax } = limitsInForce(job);
  const listed = cpus === undefined ? undefined : parseCpuList(cpus)?.length;
  const quota =
    cpuMax === undefined || cpuMax.quotaUsec === "max" ? undefined : cpuMax.quotaUsec / cpuMax.periodUsec;
  return Math.min(cpuCount, listed ?? cpuCount, quota ?? cpuCount);
}

function otherCores(before: CpuReading, now: CpuReading, cpuCores: number | null): number | null {
  const busyPercent = busyPercentBetween(before, now);
  if (busyPercent === null || cpuCores === null) return null;
  return Math.max(0, (busyPercent / 100) * now.cpuCount - cpuCores);
}

type Backlog = Pick<Evidence, "sendBacklogSeconds" | "isSendBacklogGrowing" | "receiverLimitedPercent">;

function backlogOf(points: readonly Point[]): Backlog {
  const unknown = { sendBacklogSeconds: null, isSendBacklogGrowing: null, receiverLimitedPercent: null };
  if (points.length < 2 || points.some(({ network }) => network === null)) return unknown;
  const known = points.map(({ network }) => network as JobNetwork);
  if (known.every(({ connections }) => connections === 0))
    return { sendBacklogSeconds: 0, isSendBacklogGrowing: false, receiverLimitedPercent: 0 };
  const seconds = known.map(({ sendBacklogSeconds }) => sendBacklogSeconds);
  return {
    sendBacklogSeconds: seconds.includes(null) ? null : Math.min(...(seconds as number[])),
    isSendBacklogGrowing: (known.at(-1)?.sendBacklogBytes ?? 0) > (known[0]?.sendBacklogBytes ?? 0),
    receiverLimitedPercent: limitedPercent(points),
  };
}

/** Returns the mean over the time; `null` where it is not known for more than half of it. */
function limitedPercent(points: readonly Point[]): number | null {
  let [allMs, knownMs, limitedMs] = [0, 0, 0];
  for (const [at, { reading, network }] of points.entries()) {
    const before = points[at - 1];
    if (before === undefined) continue;
    const elapsedMs = reading.atBootMs - before.reading.atBootMs;
    allMs += elapsedMs;
    const percent = network?.windowLimitedPercent ?? null;
    if (percent === null) continue;
    knownMs += elapsedMs;
    limitedMs += (percent / 100) * elapsedMs;
  }
  return knownMs === 0 || knownMs < allMs / 2 ? null : (100 * limitedMs) / knownMs;
}

/** Only TCP shows whether the job or its input is the slower one. */
function inputOf(
  points: readonly Point[],
  pace: Pace | null,
): Pick<Evidence, "isInputWaiting" | "isInputQuiet"> {
  if (pace?.input === "file") return { isInputWaiting: false, isInputQuiet: false };
  const isVisible =
    pace?.input === "tcp" &&
    points.length > 1 &&
    points.every(({ network }) => network !== null && network.connections > 0);
  if (!isVisible) return { isInputWaiting: null, isInputQuiet: null };
  const queues = points.map(({ network }) => (network as JobNetwork).receiveBacklogBytes);
  return {
    isInputWaiting: pace.isPaced ? null : Math.min(...queues) > STEADY_QUEUE_BYTES,
    isInputQuiet: Math.max(...queues) <= STEADY_QUEUE_BYTES,
  };
}

/** Devices whose driver knows a process of the job. The driver's figures are averages already. */
function gpuOf(
  { gpu, now }: Measured["use"],
  devices: readonly DeviceReading[],
): Pick<Evidence, "gpuPercent" | "ownGpuPercent"> {
  if (gpu === null) return { gpuPercent: null, ownGpuPercent: null };
  const own = new Set(now.details.pids);
  const engines = devices
    .filter(({ processes }) => processes.some(({ pid }) => own.has(pid)))
    .flatMap(({ device }) => [
      { all: device.encoderPercent, own: gpu.encoderPercent },
      { all: device.decoderPercent, own: gpu.decoderPercent },
    ]);
  const busiest = engines.reduce<(typeof engines)[number] | undefined>(
    (most, each) => (each.all !== null && each.all > (most?.all ?? -1) ? each : most),
    undefined,
  );
  return { gpuPercent: busiest?.all ?? null, ownGpuPercent: busiest?.own ?? null };
}
