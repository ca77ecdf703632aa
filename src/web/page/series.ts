import type { JobView, UsagePoint } from "./data.ts";

/** The figures of a job at one time. `null` is unknown. */
export interface Figures {
  /** Seconds since the epoch. */
  readonly time: number;
  readonly cores: number | null;
  /** The part of the quota's periods in which the quota stopped the job, 0 to 1. */
  readonly throttled: number | null;
  readonly memoryBytes: number | null;
  readonly speed: number | null;
  readonly sentBitsPerSecond: number | null;
  readonly backlogSeconds: number | null;
  /** The parts of the time in which at least one thread waited, 0 to 100. */
  readonly cpuWait: number | null;
  readonly memoryWait: number | null;
  readonly diskWait: number | null;
}

/** The values of `Figures` besides the time. */
export type FigureName = Exclude<keyof Figures, "time">;

const secondsOf = (time: string): number => Date.parse(time) / 1000;

/** Returns the figures of a span of the history. The middle of a rate is not its end, and its end is when it was read. */
export function figuresOfPoint(point: UsagePoint): Figures {
  const span = secondsOf(point.end_time) - secondsOf(point.start_time);
  const perSecond = (count: number | null) => (count === null || span <= 0 ? null : count / span);
  const share = (seconds: number | null) => times100(perSecond(seconds));
  const { cpu_seconds: cpu, quota_periods: periods, throttled_periods: throttled } = point;
  return {
    time: secondsOf(point.end_time),
    cores: perSecond(cpu),
    throttled: periods === null || throttled === null ? null : periods === 0 ? 0 : throttled / periods,
    memoryBytes: point.memory_max_bytes,
    speed: speedOf(point, span),
    sentBitsPerSecond: times8(perSecond(point.tcp_sent_bytes)),
    backlogSeconds: point.send_backlog_max_seconds,
    cpuWait: share(point.cpu_pressure_seconds),
    memoryWait: share(point.memory_pressure_seconds),
    diskWait: share(point.io_pressure_seconds),
  };
}

/** Returns the present figures of a job; `undefined` before it was measured. */
export function figuresOfJob({ use }: JobView): Figures | undefined {
  if (use === null) return undefined;
  const { cpu_percent: percent, throttled_percent: throttled, network, media } = use;
  return {
    time: secondsOf(use.time),
    cores: percent === null ? null : percent / 100,
    throttled: throttled === null ? null : throttled / 100,
    memoryBytes: use.memory_bytes,
    speed: media.speed,
    sentBitsPerSecond: times8(sentOf(network)),
    backlogSeconds: network?.send_backlog_seconds ?? null,
    cpuWait: use.cpu_pressure_percent,
    memoryWait: use.memory_pressure_percent,
    diskWait: use.io_pressure_percent,
  };
}

/** Bytes of all protocols where they are known, else those of TCP. Without a connection nothing that is known is sent. */
export function sentOf(network: NonNullable<JobView["use"]>["network"]): number | null {
  if (network === null) return null;
  const tcp = network.tcp_connections === 0 ? null : network.tcp_sent_bytes_per_second;
  return network.device_sent_bytes_per_second ?? tcp;
}

/** Programs report their media time in steps, so that only a long span has an exact speed of its own. */
function speedOf({ media_seconds: media, speed_min: least }: UsagePoint, span: number): number | null {
  return media !== null && span >= SPEED_SPAN_S ? media / span : least;
}
const SPEED_SPAN_S = 15;

const times100 = (part: number | null): number | null => (part === null ? null : 100 * part);
const times8 = (bytes: number | null): number | null => (bytes === null ? null : 8 * bytes);

/** Returns the history, followed by what this page has seen since its last point. */
export function joinFigures(history: readonly Figures[], seen: readonly Figures[]): Figures[] {
  const lastTime = history.at(-1)?.time ?? 0;
  return [...history, ...seen.filter(({ time }) => time > lastTime)];
}

/** Keeps the last figures, each measurement once. */
export function addFigures(
  seen: readonly Figures[],
  next: Figures | undefined,
  most: number,
): readonly Figures[] {
  if (next === undefined || next.time <= (seen.at(-1)?.time ?? 0)) return seen;
  return [...seen, next].slice(-most);
}
