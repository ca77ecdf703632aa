/** Parsers of single values, for options and policy files alike. They throw ValueFault. */

/** A value that does not do; the message continues a sentence that begins with the value. */
export class ValueFault extends Error {}

const FACTORS: Record<string, number> = { k: 1, m: 2, g: 3, t: 4 };
export const MEBIBYTE = 1024 ** 2;
/** Below it nothing can even start, and the kernel would kill what tries. */
const SMALLEST_MEMORY_BYTES = MEBIBYTE;

/**
 * Bytes: `K`, `M`, `G`, `T` and `KiB`, `MiB`, … count in 1024, as the kernel does; `kB`, `MB`, `GB`, `TB` in 1000.
 * A bare number counts in `unitBytes`.
 */
export function parseBytes(text: string, unitBytes: number): number {
  const match = /^(\d+(?:\.\d+)?) ?(?:B|([KMGTkmgt])(iB|B)?)?$/.exec(text);
  if (!match) throw new ValueFault("is no size");
  const [, number, letter, suffix] = match as unknown as [string, string, string?, string?];
  const base = suffix === "B" ? 1000 : 1024;
  const isBare = letter === undefined && !text.endsWith("B");
  const factor = isBare ? unitBytes : base ** (FACTORS[letter?.toLowerCase() ?? ""] ?? 0);
  const bytes = Math.round(Number(number) * factor);
  if (!Number.isSafeInteger(bytes)) throw new ValueFault("is more than can be counted");
  return bytes;
}

export function parseMemory(text: string, unitBytes: number): number {
  const bytes = parseBytes(text, unitBytes);
  if (bytes < SMALLEST_MEMORY_BYTES) {
    const unit = unitBytes === 1 && /\d$/.test(text) ? " (a number without a unit counts bytes here)" : "";
    throw new ValueFault(`is less than 1 MiB, in which nothing can start${unit}`);
  }
  return bytes;
}

export function parseWhole(text: string, least: number, most: number): number {
  if (!/^[+-]?\d+$/.test(text)) throw new ValueFault("is no whole number");
  const number = Number(text);
  if (number < least) throw new ValueFault(`is less than ${least}`);
  if (number > most) throw new ValueFault(`is more than ${most}`);
  return number;
}

/** Bytes or operations per second: `50MB/s`, `500/s`, `500`, `max`. */
export function parseRate(text: string, counts: "bytes" | "operations"): number | "max" {
  if (text === "max") return "max";
  const amount = text.replace(/ ?\/ ?s$/, "");
  const isPlain = /^\d+(?:\.\d+)?[KMGTkmgt]?$/.test(amount);
  if (counts === "operations" && !isPlain) throw new ValueFault("is no number of operations per second");
  const rate = parseBytes(amount, 1);
  if (rate < 1) throw new ValueFault("would stop the workload, and the kernel does not take it");
  return rate;
}

const UNITS_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `5s`, `500ms`, `1m30s`, `24h`, `7d`; a bare number is seconds. Returns ms. */
export function parseDuration(text: string): number {
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.round(Number(text) * 1000);
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(text)) throw new ValueFault("is no time");
  let ms = 0;
  for (const [, number, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    ms += Number(number) * (UNITS_MS[unit] as number);
  }
  return Math.round(ms);
}
