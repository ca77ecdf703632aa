import type { JobUse } from "../jobUse.ts";
import type { Speed } from "../media/speed.ts";
import type { ByteCounts } from "../network/connection.ts";
import { type Increases, increaseOf, increasesBetween, type Reading } from "../rates.ts";
import { encodeHistory, type StoredHistory } from "./encoding.ts";
import { columnOf, END, emptyRow, gaugeColumnOf, type MeterCountName, START } from "./points.ts";
import { RecentCores } from "./recentCores.ts";
import { Ring } from "./ring.ts";

/** The length of the first points of a whole life: a sampler without viewers reads as often. */
const FIRST_POINT_MS = 10_000;
const POINTS = 360;
const TEN_MINUTES_MS = 600_000;
const SIX_HOURS_MS = 6 * 3_600_000;

/** The parts of a job's life for which there is a ring. */
export const RINGS = ["tenMinutes", "sixHours", "life"] as const;

export type RingName = (typeof RINGS)[number];

/** The part of a job's use that is kept. */
export interface Recorded {
  readonly now: Reading;
  readonly memory: Pick<JobUse["memory"], "bytes">;
  readonly processCount: JobUse["processCount"];
  readonly network: {
    readonly bytes: Pick<ByteCounts, "sent" | "received">;
    readonly sendBacklogSeconds: number | null;
  } | null;
  readonly media: {
    readonly mediaSeconds: number | null;
    readonly speed: Pick<Speed, "factor"> | null;
  };
}

const NOT_METERED = { tcpSentBytes: null, tcpReceivedBytes: null, mediaMsec: null };

const COLUMN = {
  cpuUsec: columnOf("cpuUsec"),
  quotaPeriods: columnOf("quotaPeriods"),
  throttledPeriods: columnOf("throttledPeriods"),
  ioReadBytes: columnOf("ioReadBytes"),
  ioWriteBytes: columnOf("ioWriteBytes"),
  cpuPressureUsec: columnOf("cpuPressureUsec"),
  memoryPressureUsec: columnOf("memoryPressureUsec"),
  memoryFullPressureUsec: columnOf("memoryFullPressureUsec"),
  ioPressureUsec: columnOf("ioPressureUsec"),
  ioFullPressureUsec: columnOf("ioFullPressureUsec"),
  tcpSentBytes: columnOf("tcpSentBytes"),
  tcpReceivedBytes: columnOf("tcpReceivedBytes"),
  mediaMsec: columnOf("mediaMsec"),
  memoryBytes: gaugeColumnOf("memoryBytes"),
  processCount: gaugeColumnOf("processCount"),
  speedPermille: gaugeColumnOf("speedPermille"),
  sendBacklogMs: gaugeColumnOf("sendBacklogMs"),
};

/** The point that is added: rings copy it. */
const row = emptyRow();

/** The use of resources by one job, from its first reading on. */
export class JobHistory {
  readonly #rings: Record<RingName, Ring>;
  #last: Reading | undefined;
  readonly #recentCores = new RecentCores();
  #metered: Readonly<Record<MeterCountName, number | null>> = NOT_METERED;

  /** `stored`: the life that an earlier ffrtmp recorded of the job. The time in between becomes one point. */
  constructor(stored?: StoredHistory) {
    const life = { pointMs: stored?.pointMs ?? FIRST_POINT_MS, points: stored?.points ?? [] };
    this.#rings = {
      tenMinutes: new Ring({ pointMs: TEN_MINUTES_MS / POINTS, latestMs: TEN_MINUTES_MS }),
      sixHours: new Ring({ pointMs: SIX_HOURS_MS / POINTS, latestMs: SIX_HOURS_MS }),
      life: new Ring(life),
    };
    this.#last = stored?.last;
  }

  /**
   * Adds what the job has used since the call before. What the meter has counted in between, up to its last answer, is known
   * only from its second answer on: it does not count from the job's start, nor beyond a restart of the daemon.
   */
  record({ now, memory, processCount, network, media }: Recorded): void {
    const last = this.#last;
    if (last !== undefined && now.atBootMs <= last.atBootMs) return;
    const before = this.#metered;
    this.#last = now;
    this.#metered = {
      tcpSentBytes: network?.bytes.sent ?? null,
      tcpReceivedBytes: network?.bytes.received ?? null,
      mediaMsec: thousandths(media.mediaSeconds),
    };
    if (last === undefined) return;
    const increases = increasesBetween(last, now);
    row[START] = last.atBootMs;
    row[END] = now.atBootMs;
    writeIncreases(increases);
    const metered = this.#metered;
    writeCount(COLUMN.tcpSentBytes, increaseOf(before.tcpSentBytes, metered.tcpSentBytes));
    writeCount(COLUMN.tcpReceivedBytes, increaseOf(before.tcpReceivedBytes, metered.tcpReceivedBytes));
    writeCount(COLUMN.mediaMsec, increaseOf(before.mediaMsec, metered.mediaMsec));
    writeGauge(COLUMN.memoryBytes, memory.bytes);
    writeGauge(COLUMN.processCount, processCount);
    writeGauge(COLUMN.speedPermille, thousandths(media.speed?.factor));
    writeGauge(COLUMN.sendBacklogMs, thousandths(network?.sendBacklogSeconds));
    this.#recentCores.add(last.atBootMs, now.atBootMs, increases.cpuUsec);
    this.#rings.tenMinutes.addRow(row);
    this.#rings.sixHours.addRow(row);
    this.#rings.life.addRow(row);
  }

  /** Returns the CPU use in cores of the last 2 minutes, one value for each 5 s, oldest first: see `RecentCores`. */
  recentCores(): readonly (number | null)[] {
    return this.#recentCores.values();
  }

  /** Returns a ring; `undefined` before there is a point. `at`: the same time by both clocks. */
  ring(at: StoredHistory["at"], name: RingName): StoredHistory | undefined {
    const { points, pointMs } = this.#rings[name];
    return this.#last === undefined || points.length === 0
      ? undefined
      : { pointMs, points, last: this.#last, at };
  }

  /** Returns the stored form of a ring; `undefined` before there is a point. */
  encode(at: StoredHistory["at"], name: RingName = "life"): Uint8Array | undefined {
    const ring = this.ring(at, name);
    return ring && encodeHistory(ring);
  }
}

function writeIncreases(of: Increases): void {
  writeCount(COLUMN.cpuUsec, of.cpuUsec);
  writeCount(COLUMN.quotaPeriods, of.quotaPeriods);
  writeCount(COLUMN.throttledPeriods, of.throttledPeriods);
  writeCount(COLUMN.ioReadBytes, of.ioReadBytes);
  writeCount(COLUMN.ioWriteBytes, of.ioWriteBytes);
  writeCount(COLUMN.cpuPressureUsec, of.cpuPressureUsec);
  writeCount(COLUMN.memoryPressureUsec, of.memoryPressureUsec);
  writeCount(COLUMN.memoryFullPressureUsec, of.memoryFullPressureUsec);
  writeCount(COLUMN.ioPressureUsec, of.ioPressureUsec);
  writeCount(COLUMN.ioFullPressureUsec, of.ioFullPressureUsec);
}

function writeCount(column: number, value: number | null): void {
  row[column] = value ?? Number.NaN;
}

function writeGauge(column: number, value: number | null): void {
  row[column] = value ?? Number.NaN;
  row[column + 1] = value ?? Number.NaN;
}

function thousandths(value: number | null | undefined): number | null {
  return value === null || value === undefined ? null : Math.round(1000 * value);
}
