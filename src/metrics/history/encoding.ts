import { type Counters, UNKNOWN_COUNTERS } from "../../limits/counters.ts";
import type { Reading } from "../rates.ts";
import { COUNTS, GAUGES, type Point, type Range } from "./points.ts";

/** The history of a job as the ledger has it. */
export interface StoredHistory {
  /** The length of a point, in ms; the last one can be shorter, and one across a pause of the daemon longer. */
  readonly pointMs: number;
  readonly points: readonly Point[];
  /** The last reading, from which the next point is counted. */
  readonly last: Pick<Reading, "atBootMs" | "counters">;
  /** The same time by both clocks. */
  readonly at: { readonly wallMs: number; readonly bootMs: number };
}

/** A history of 360 points has a tenth of this. */
const MAX_STORED_BYTES = 1 << 20;
const VERSION = 1;

type Column = (number | null)[];

/** The columns are one array each, which compresses better than an object for each point. */
interface Stored {
  version: number;
  at: { wallMs: number; bootMs: number };
  pointMs: number;
  last: { atBootMs: number; counters: Partial<Counters> };
  startMs: number;
  /** The length of each point, in ms. */
  lengths: number[];
  /** In the order of COUNTS. */
  counts: Column[];
  /** Minimum and maximum of each gauge, in the order of GAUGES. */
  gauges: [Column, Column][];
}

export function encodeHistory({ pointMs, points, last, at }: StoredHistory): Uint8Array {
  const stored: Stored = {
    version: VERSION,
    at,
    pointMs,
    last: { atBootMs: last.atBootMs, counters: last.counters },
    startMs: points[0]?.startMs ?? last.atBootMs,
    lengths: points.map(({ startMs, endMs }) => endMs - startMs),
    counts: COUNTS.map((name) => points.map(({ counts }) => counts[name])),
    gauges: GAUGES.map((name) => [
      points.map(({ gauges }) => gauges[name]?.min ?? null),
      points.map(({ gauges }) => gauges[name]?.max ?? null),
    ]),
  };
  return Bun.zstdCompressSync(JSON.stringify(stored));
}

/** Returns `undefined` for bytes that are no history, or one of a later ffrtmp. */
export function decodeHistory(bytes: Uint8Array): StoredHistory | undefined {
  if (bytes.length > MAX_STORED_BYTES) return undefined;
  let stored: Stored;
  try {
    stored = JSON.parse(Bun.zstdDecompressSync(bytes).toString("utf8"));
    if (!isStored(stored)) return undefined;
  } catch {
    return undefined;
  }
  const { at, pointMs, last, startMs, lengths, counts, gauges } = stored;
  let endMs = startMs;
  const points = lengths.map((lengthMs, index): Point => {
    const start = endMs;
    endMs += lengthMs;
    return {
      startMs: start,
      endMs,
      counts: named(COUNTS, (n) => counts[n]?.[index] ?? null),
      gauges: named(GAUGES, (n) => rangeOf(gauges[n]?.[0][index], gauges[n]?.[1][index])),
    };
  });
  const counters = { ...UNKNOWN_COUNTERS, ...last.counters };
  return { at, pointMs, points, last: { atBootMs: last.atBootMs, counters } };
}

function isStored({ version, at, pointMs, last, startMs, lengths, counts, gauges }: Stored): boolean {
  const numbers = [at.wallMs, at.bootMs, pointMs, last.atBootMs, startMs, ...lengths];
  const columns = [...counts, ...gauges.flat()];
  return (
    version === VERSION &&
    numbers.every(Number.isFinite) &&
    [...columns.flat(), ...Object.values(last.counters)].every(
      (value) => value === null || Number.isFinite(value),
    ) &&
    columns.every(({ length }) => length === lengths.length)
  );
}

/** A counter that an earlier ffrtmp did not store is unknown. */
function named<N extends string, V>(names: readonly N[], valueAt: (index: number) => V): Record<N, V> {
  return Object.fromEntries(names.map((name, index) => [name, valueAt(index)])) as Record<N, V>;
}

function rangeOf(min: number | null | undefined, max: number | null | undefined): Range | null {
  return typeof min === "number" && typeof max === "number" ? { min, max } : null;
}
