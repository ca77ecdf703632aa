/** Parsers of single values, for options and policy files alike. They throw ValueFault. */

/** An invalid value. The message continues a sentence that begins with the value. */
export class ValueFault extends Error {}

/** A value that is valid, and usually meant as something else. */
export interface LikelyMistake {
  /** Continues a sentence that begins with the value. */
  message: string;
  /** The values that are probably meant. */
  right: string;
}

export const MEBIBYTE = 1024 ** 2;
/** No program can start in less, and the kernel would kill it. */
const MIN_MEMORY_BYTES = MEBIBYTE;

/**
 * Returns bytes. `K`, `M`, `G`, `T` and `KiB`, `MiB`, … are powers of 1024, as in the kernel; `kB`, `MB`, `GB`, `TB`
 * of 1000. A number without a unit counts in `unitBytes`.
 */
export function parseBytes(text: string, unitBytes: number): number {
  const [, number, unit, letter, suffix] = /^(\d+(?:\.\d+)?) ?(B|([KMGTkmgt])(iB|B)?)?$/.exec(text) ?? [];
  if (number === undefined) throw new ValueFault("is not a size");
  const power = letter === undefined ? 0 : "kmgt".indexOf(letter.toLowerCase()) + 1;
  const factor = unit === undefined ? unitBytes : (suffix === "B" ? 1000 : 1024) ** power;
  const bytes = Math.round(Number(number) * factor);
  if (!Number.isSafeInteger(bytes)) throw new ValueFault("is too large");
  return bytes;
}

/** Returns bytes. */
export function parseMemory(text: string, unitBytes: number): number {
  const bytes = parseBytes(text, unitBytes);
  if (bytes < MIN_MEMORY_BYTES) {
    const hint = unitBytes === 1 && /\d$/.test(text) ? " (a number without a unit is in bytes here)" : "";
    throw new ValueFault(`is less than 1 MiB, too little for any program to start${hint}`);
  }
  return bytes;
}

export function parseWhole(text: string, min: number, max: number): number {
  if (!/^[+-]?\d+$/.test(text)) throw new ValueFault("is not a whole number");
  const number = Number(text);
  if (number < min) throw new ValueFault(`is less than ${min}`);
  if (number > max) throw new ValueFault(`is more than ${max}`);
  return number;
}

/** Parses bytes or operations per second: `50MB/s`, `500/s`, `500`, `max`. */
export function parseRate(text: string, counts: "bytes" | "operations"): number | "max" {
  if (text === "max") return "max";
  const amount = text.replace(/ ?\/ ?s$/, "");
  const isPlain = /^\d+(?:\.\d+)?[KMGTkmgt]?$/.test(amount);
  if (counts === "operations" && !isPlain) throw new ValueFault("is not a number of operations per second");
  const rate = parseBytes(amount, 1);
  if (rate < 1) throw new ValueFault("would stop the workload, and the kernel rejects it");
  return rate;
}

const UNITS_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Returns ms. `5s`, `500ms`, `1m30s`, `24h`, `7d`; a number without a unit is seconds. */
export function parseDuration(text: string): number {
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.round(Number(text) * 1000);
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(text)) throw new ValueFault("is not a time");
  let ms = 0;
  for (const [, number, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    ms += Number(number) * (UNITS_MS[unit] as number);
  }
  return Math.round(ms);
}
