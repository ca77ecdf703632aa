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
import type { DiskRates, Evidence } from "./judge.ts";
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
  readonly #points: Point[] = [];

  /** Adds a sample, and returns what the samples say together, until the next one is added. */
  add({ use, machine, devices }: Measured): WindowEvidence {
    const points = this.#points;
    points.push({ reading: use.now, network: use.network, machine });
    const isOld = ({ reading }: Point) => use.now.atBootMs - reading.atBootMs >= WINDOW_MS;
    while (points.length > 2 && isOld(points[1] as Point)) points.shift();
    return new WindowEvidence(points, use, devices);
  }
}

/**
 * The evidence of a window. A value is computed when it is read: of most jobs a few show that nothing holds them back, and
 * jobs are judged each second.
 */
export class WindowEvidence implements Evidence {
  readonly #points: readonly Point[];
  readonly #first: Point;
  readonly #last: Point;
  readonly #use: MeasuredUse;
  readonly #devices: readonly DeviceReading[];
  readonly #pace: Pace | null;
  #knownRates: Rates | null | undefined;
  #knownConnected: boolean | null | undefined;

  constructor(points: readonly Point[], use: MeasuredUse, devices: readonly DeviceReading[]) {
    this.#points = points;
    this.#first = points[0] as Point;
    this.#last = points.at(-1) as Point;
    this.#use = use;
    this.#devices = devices;
    this.#pace = use.pace && paceByIntent(use.pace, use.job.intent);
  }

  /** Returns all values, which do not change any more. */
  all(): Evidence {
    return {
      isLive: this.isLive,
      targetSpeed: this.targetSpeed,
      speed: this.speed,
      cpuCores: this.cpuCores,
      cpuPressurePercent: this.cpuPressurePercent,
      memoryFullPercent: this.memoryFullPercent,
      ioFullPercent: this.ioFullPercent,
      rereadPercent: this.rereadPercent,
      disks: this.disks,
      throttledPercent: this.throttledPercent,
      tenantThrottledPercent: this.tenantThrottledPercent,
      availableCores: this.availableCores,
      otherCores: this.otherCores,
      sendBacklogSeconds: this.sendBacklogSeconds,
      isSendBacklogGrowing: this.isSendBacklogGrowing,
      receiverLimitedPercent: this.receiverLimitedPercent,
      isInputWaiting: this.isInputWaiting,
      isInputQuiet: this.isInputQuiet,
      ...gpuOf(this.#use, this.#devices),
    };
  }

  get isLive(): boolean | null {
    return this.#pace === null ? null : this.#pace.targetSpeed !== null;
  }

  get targetSpeed(): number | null {
    return this.#pace?.targetSpeed ?? null;
  }

  get speed(): number | null {
    const { state, speed } = this.#use.media;
    // A job that has read all of its input writes the rest as fast as it can.
    return state === "finishing" ? null : (speed?.factor ?? null);
  }

  get cpuCores(): number | null {
    const percent = this.#rates?.cpuPercent ?? null;
    return percent === null ? null : percent / 100;
  }

  get throttledPercent(): number | null {
    const rates = this.#rates;
    return rates === null ? null : (rates.throttledPercent ?? withoutPeriods(this.#use.job, undefined));
  }

  get tenantThrottledPercent(): number | null {
    const [before, { now, job }] = [this.#first.reading, this.#use];
    if (before === now) return null;
    if (now.tenantCounters.size === 0) return 0;
    return tenantThrottledPercent(before, now) ?? withoutPeriods(job, "tenant");
  }

  get cpuPressurePercent(): number | null {
    return this.#rates?.pressure.cpuSomePercent ?? null;
  }

  get memoryFullPercent(): number | null {
    return this.#rates?.pressure.memoryFullPercent ?? null;
  }

  get ioFullPercent(): number | null {
    return this.#rates?.pressure.ioFullPercent ?? null;
  }

  get rereadPercent(): number | null {
    const [{ rbps }, reread] = [this.disks, this.#detailRates().rereadBytesPerSecond];
    return rbps === null || reread === null || rbps === 0 ? null : Math.min(100, (100 * reread) / rbps);
  }

  get disks(): DiskRates {
    const [rates, details] = [this.#rates, this.#detailRates()];
    return {
      rbps: rates?.readBytesPerSecond ?? null,
      wbps: rates?.writeBytesPerSecond ?? null,
      riops: details.readOperationsPerSecond,
      wiops: details.writeOperationsPerSecond,
    };
  }

  get availableCores(): number {
    return availableCoresOf(this.#use, this.#last.machine);
  }

  get otherCores(): number | null {
    return otherCores(this.#first.machine, this.#last.machine, this.cpuCores);
  }

  get sendBacklogSeconds(): number | null {
    const connected = this.#isConnected();
    if (connected !== true) return connected === null ? null : 0;
    let least: number | null = Number.POSITIVE_INFINITY;
    for (const { network } of this.#points) {
      const seconds = (network as JobNetwork).sendBacklogSeconds;
      least = least === null || seconds === null ? null : Math.min(least, seconds);
    }
    return least;
  }

  get isSendBacklogGrowing(): boolean | null {
    if (this.#isConnected() === null) return null;
    const bytesAt = ({ network }: Point) => network?.sendBacklogBytes ?? 0;
    return this.#isConnected() === true && bytesAt(this.#last) > bytesAt(this.#first);
  }

  get receiverLimitedPercent(): number | null {
    const connected = this.#isConnected();
    if (connected !== true) return connected === null ? null : 0;
    return limitedPercent(this.#points);
  }

  get isInputWaiting(): boolean | null {
    return inputOf(this.#points, this.#pace).isInputWaiting;
  }

  get isInputQuiet(): boolean | null {
    return inputOf(this.#points, this.#pace).isInputQuiet;
  }

  get gpuPercent(): number | null {
    return gpuOf(this.#use, this.#devices).gpuPercent;
  }

  get ownGpuPercent(): number | null {
    return gpuOf(this.#use, this.#devices).ownGpuPercent;
  }

  /** `null`: this is the first sample. */
  get #rates(): Rates | null {
    if (this.#knownRates === undefined)
      this.#knownRates = this.#first === this.#last ? null : ratesBetween(this.#first.reading, this.#use.now);
    return this.#knownRates;
  }

  /** Details are read less often, so that their rates are of another time, and `null` where they were not read again. */
  #detailRates(): DetailRates {
    return detailRatesBetween(this.#first.reading.details, this.#use.now.details);
  }

  /** Returns whether the job had a connection in any sample. `null`: that is not known of each sample. */
  #isConnected(): boolean | null {
    if (this.#knownConnected === undefined) this.#knownConnected = isConnectedIn(this.#points);
    return this.#knownConnected;
  }
}

function isConnectedIn(points: readonly Point[]): boolean | null {
  if (points.length < 2) return null;
  let isConnected = false;
  for (const { network } of points) {
    if (network === null) return null;
    isConnected ||= network.connections > 0;
  }
  return isConnected;
}

/**
 * Returns 0 for a job or a tenant that no quota of ffrtmp can stop: it may have no cgroup that counts periods, on v1 none in the
 * `cpu` hierarchy. `null`: it has a quota, and what that did is not known.
 */
function withoutPeriods(job: OpenJob, of: LimitOutcome["of"]): 0 | null {
  const hasQuota = job.outcomes.some((each) => each.of === of && each.limit === "cpu.max" && isInForce(each));
  return hasQuota ? null : 0;
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

/** Returns the mean over the time; `null` where it is not known for more than half of it. */
function limitedPercent(points: readonly Point[]): number | null {
  let [allMs, knownMs, limitedMs] = [0, 0, 0];
  let before: Point | undefined;
  for (const point of points) {
    const { reading, network } = point;
    const elapsedMs = before === undefined ? 0 : reading.atBootMs - before.reading.atBootMs;
    before = point;
    if (elapsedMs === 0) continue;
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
