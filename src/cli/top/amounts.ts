/** Amounts in at most four characters, for columns. `none` is returned for what is unknown. */

const BINARY = ["", "K", "M", "G", "T", "P"];
const DECIMAL = ["", "k", "M", "G", "T", "P"];

/** Returns `365M`, `2.0G`: units of 1024 bytes. */
export function shortBytes(bytes: number | null, none: string): string {
  return bytes === null ? none : scaled(bytes, 1024, BINARY);
}

/** Returns bits per second, `2.4M`, `310k`: units of 1000. */
export function shortBits(bytesPerSecond: number | null, none: string): string {
  return bytesPerSecond === null ? none : scaled(8 * bytesPerSecond, 1000, DECIMAL);
}

function scaled(amount: number, base: number, prefixes: readonly string[]): string {
  let value = amount;
  let unit = 0;
  // 999.5 would be shown as 1000.
  while (value >= 999.5 && unit < prefixes.length - 1) {
    value /= base;
    unit++;
  }
  return `${value.toFixed(unit > 0 && value < 9.95 ? 1 : 0)}${prefixes[unit]}`;
}

/** Returns bits per second with their unit: `2.4 Mb/s`. */
export function bitRateText(bytesPerSecond: number | null, none: string): string {
  const text = shortBits(bytesPerSecond, none);
  return text === none ? none : text.replace(/^[\d.]+/, "$& ").concat("b/s");
}

/** Returns `0.35`, `12.3`, `128`. */
export function coresText(cores: number | null, none: string): string {
  if (cores === null) return none;
  return cores.toFixed(cores < 9.995 ? 2 : cores < 99.95 ? 1 : 0);
}

/** Returns `45s`, `11m`, `2h14`, `31h`, `3d`. */
export function shortDuration(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (seconds < 99.5) return `${Math.round(seconds)}s`;
  if (minutes < 100) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 10) return `${hours}h${String(minutes % 60).padStart(2, "0")}`;
  return hours < 100 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
}
