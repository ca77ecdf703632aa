import { VERDICTS, type Verdict } from "../../jobs/model/hindered.ts";

/**
 * What is known of a job over the last 15 s. `null` is unknown, and is never evidence. The rules below read only the values
 * that they need: a window computes a value when it is read.
 */
export interface Evidence {
  /** Something sets the job's pace: a stream, a device, `-re`. */
  readonly isLive: boolean | null;
  /** The speed that a live job must keep. */
  readonly targetSpeed: number | null;
  /** Media time per time. */
  readonly speed: number | null;
  /** CPU time per time. */
  readonly cpuCores: number | null;
  /** The part of the periods in which the quota stopped the job, 0 to 100. */
  readonly throttledPercent: number | null;
  /** The same for the quota of its tenant's total. 0 without a tenant. */
  readonly tenantThrottledPercent: number | null;
  /** The parts of the time in which a thread waited for a CPU, and in which all waited for memory or disks, 0 to 100. */
  readonly cpuPressurePercent: number | null;
  readonly memoryFullPercent: number | null;
  readonly ioFullPercent: number | null;
  /** The part of what it read from disks that it had in memory shortly before, 0 to 100. */
  readonly rereadPercent: number | null;
  /** The bytes that it read from and wrote to all disks together. */
  readonly disks: DiskRates;
  /** CPUs that the machine, its CPU list and its quota leave the job. */
  readonly availableCores: number | null;
  /** CPU time of everything else on the machine, per time. */
  readonly otherCores: number | null;
  /** The least that waited to be sent, in seconds. 0 without a connection. */
  readonly sendBacklogSeconds: number | null;
  readonly isSendBacklogGrowing: boolean | null;
  /** The part of the time in which a receiver's window held the sending back, 0 to 100. */
  readonly receiverLimitedPercent: number | null;
  /** Data was in the receive queue all the time: the job does not read it. */
  readonly isInputWaiting: boolean | null;
  /** The receive queue was empty all the time: the input gives no more. False for a file. */
  readonly isInputQuiet: boolean | null;
  /**
   * The use of the busiest encoder or decoder among the GPUs that the job uses, 0 to 100, and the job's own part in it.
   */
  readonly gpuPercent: number | null;
  readonly ownGpuPercent: number | null;
}

/** By the names of io.max: bytes and operations per second. `null` is unknown. */
export type DiskRates = Readonly<Record<"rbps" | "wbps" | "riops" | "wiops", number | null>>;

/** A live job below this part of its speed is slow. */
const SLOW_BELOW = 0.97;
const THROTTLED_PERCENT = 50;
const NOT_THROTTLED_PERCENT = 10;
const CPU_PRESSURE_PERCENT = 50;
const FULL_PRESSURE_PERCENT = 20;
/** A job that reads mostly what it had in memory waits for the disk for lack of memory. */
const REREAD_PERCENT = 50;
const BACKLOG_SECONDS = 2;
const RECEIVER_LIMITED_PERCENT = 80;
const GPU_PERCENT = 95;
/** A job that has nearly all CPUs to itself waits for its own threads. */
const MOST_OF_THE_CPUS = 0.9;
/** Less is the noise of any machine. */
const OTHERS_PART = 0.1;
/** One thread that always runs, as a program with some waits in between shows it. */
const BUSY_THREAD_CORES = 0.8;

/**
 * Returns what holds a job back, `null`: nothing does, or it is not known. A live job that keeps its speed is held back
 * by nothing but its receiver. A job that is not live is never slow; what its resources make it wait for is said
 * nevertheless.
 */
export function judge(evidence: Evidence): Verdict | null {
  return VERDICTS.find((verdict) => RULES[verdict](evidence)) ?? null;
}

/**
 * Returns the CPUs that a live job needs to keep its speed, from what it uses for the speed that it has. `null`: it is
 * not known, or the job is not live.
 */
export function neededCores({ targetSpeed, speed, cpuCores }: Evidence): number | null {
  if (targetSpeed === null || speed === null || cpuCores === null || speed <= 0) return null;
  return (cpuCores * targetSpeed) / speed;
}

export function isSlow(evidence: Evidence): boolean {
  const { targetSpeed, speed } = evidence;
  if (targetSpeed === null) return false;
  // A job whose media time is not visible is behind where what arrives is left.
  return speed === null ? evidence.isInputWaiting === true : speed < SLOW_BELOW * targetSpeed;
}

/** Returns whether it is known if a job is slow: where it is not, the absence of a verdict says nothing. */
export function canBeJudged(evidence: Evidence): boolean {
  const { isLive } = evidence;
  return (
    isLive === false || (isLive === true && (evidence.speed !== null || evidence.isInputWaiting !== null))
  );
}

const RULES: Record<Verdict, (evidence: Evidence) => boolean> = {
  receiver: isHeldByReceiver,
  own_limit: (evidence) =>
    canBeHindered(evidence) &&
    (isAtLeast(evidence.throttledPercent, THROTTLED_PERCENT) ||
      isAtLeast(evidence.tenantThrottledPercent, THROTTLED_PERCENT)),
  memory: (evidence) =>
    canBeHindered(evidence) &&
    (isAtLeast(evidence.memoryFullPercent, FULL_PRESSURE_PERCENT) || isReadingAgain(evidence)),
  io: (evidence) => canBeHindered(evidence) && isAtLeast(evidence.ioFullPercent, FULL_PRESSURE_PERCENT),
  gpu: (evidence) => canBeHindered(evidence) && isHeldByGpu(evidence),
  neighbours: (evidence) =>
    canBeHindered(evidence) &&
    isNotThrottled(evidence) &&
    isAtLeast(evidence.cpuPressurePercent, CPU_PRESSURE_PERCENT) &&
    areNeighboursTheCause(evidence) === true,
  source: (evidence) =>
    isSlow(evidence) &&
    evidence.isInputQuiet === true &&
    waitsForNothing(evidence) &&
    isBelow(evidence.cpuPressurePercent, CPU_PRESSURE_PERCENT),
  itself: (evidence) =>
    isSlow(evidence) &&
    waitsForNothing(evidence) &&
    evidence.isInputQuiet === false &&
    isAtLeast(evidence.cpuCores, BUSY_THREAD_CORES) &&
    (isBelow(evidence.cpuPressurePercent, CPU_PRESSURE_PERCENT) || areNeighboursTheCause(evidence) === false),
};

/** A job without a pace of its own only shows what it waits for. */
function canBeHindered(evidence: Evidence): boolean {
  return evidence.isLive === false || isSlow(evidence);
}

/**
 * The kernel counts a wait for a page that was dropped and is read again as one for memory only if the page had been in
 * use for long. Else it counts as a wait for a disk: Documentation/accounting/psi.rst, mm/workingset.c.
 */
export function isReadingAgain(evidence: Evidence): boolean {
  return (
    isAtLeast(evidence.ioFullPercent, FULL_PRESSURE_PERCENT) &&
    isAtLeast(evidence.rereadPercent, REREAD_PERCENT)
  );
}

/** A send buffer that is full does not grow any more: then the job is slow. */
function isHeldByReceiver(evidence: Evidence): boolean {
  if (isAtLeast(evidence.receiverLimitedPercent, RECEIVER_LIMITED_PERCENT)) return true;
  return (
    isAtLeast(evidence.sendBacklogSeconds, BACKLOG_SECONDS) &&
    (evidence.isSendBacklogGrowing === true || isSlow(evidence))
  );
}

/** A job that is not live may have all of a GPU: then nothing holds it back. */
function isHeldByGpu(evidence: Evidence): boolean {
  if (!isAtLeast(evidence.gpuPercent, GPU_PERCENT)) return false;
  return evidence.isLive === true || isBelow(evidence.ownGpuPercent, MOST_OF_THE_CPUS * GPU_PERCENT);
}

/**
 * Returns whether a job that waits for CPUs waits for others: they use some, and the job has not nearly all. Pressure
 * alone does not tell the threads of the job from those of others. `null`: not known.
 */
function areNeighboursTheCause({ cpuCores, availableCores, otherCores }: Evidence): boolean | null {
  if (cpuCores === null || availableCores === null || otherCores === null) return null;
  return cpuCores < MOST_OF_THE_CPUS * availableCores && otherCores >= OTHERS_PART * availableCores;
}

function isNotThrottled(evidence: Evidence): boolean {
  return (
    isBelow(evidence.throttledPercent, NOT_THROTTLED_PERCENT) &&
    isBelow(evidence.tenantThrottledPercent, NOT_THROTTLED_PERCENT)
  );
}

/** Returns true where it is known that quota, memory, disks, receivers and GPUs do not hold the job back. */
function waitsForNothing(evidence: Evidence): boolean {
  return (
    isNotThrottled(evidence) &&
    isBelow(evidence.memoryFullPercent, FULL_PRESSURE_PERCENT) &&
    isBelow(evidence.ioFullPercent, FULL_PRESSURE_PERCENT) &&
    isBelow(evidence.sendBacklogSeconds, BACKLOG_SECONDS) &&
    isBelow(evidence.receiverLimitedPercent, RECEIVER_LIMITED_PERCENT) &&
    !isAtLeast(evidence.gpuPercent, GPU_PERCENT)
  );
}

function isAtLeast(value: number | null, least: number): boolean {
  return value !== null && value >= least;
}

function isBelow(value: number | null, limit: number): boolean {
  return value !== null && value < limit;
}
