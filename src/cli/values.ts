import { InvalidArgumentError } from "commander";

/** Parsers of single option values. They throw what commander shows together with the option and the text. */

/** `unit` stands behind "a whole number", such as " of MB". */
export function parseInteger(text: string, least: number, most: number, unit = ""): number {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) {
    throw new InvalidArgumentError(`It must be a whole number${unit} from ${least} to ${most}.`);
  }
  return value;
}

export function parseNumber(text: string, least: number, most: number, unit = ""): number {
  const value = /^[+-]?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new InvalidArgumentError(`It must be a number${unit} from ${least} to ${most}.`);
  return value;
}

const SUFFIXES: Record<string, number> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 };

/** Bytes, with the kernel's own suffixes: K, M, G, T of 1024. */
export function parseSize(text: string, least: number): number {
  const match = /^(\d+)([KMGT]?)$/i.exec(text);
  const value = match
    ? Number(match[1]) * (SUFFIXES[(match[2] as string).toUpperCase()] as number)
    : Number.NaN;
  if (!(value >= least && value <= Number.MAX_SAFE_INTEGER)) {
    throw new InvalidArgumentError(
      `It must be a whole number of bytes, ${least} or more; K, M, G or T may follow it, as in 512M.`,
    );
  }
  return value;
}

const UNITS_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `5s`, `500ms`, `2m`, `1h`; a bare number is seconds. Returns ms. */
export function parseDuration(text: string, leastMs: number): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const value = match ? Number(match[1]) * (UNITS_MS[match[2] ?? "s"] as number) : Number.NaN;
  if (!(value >= leastMs && value <= 86_400_000)) {
    throw new InvalidArgumentError(`It must be a time from ${leastMs}ms to 24h, such as 5s or 500ms.`);
  }
  return value;
}

/** The name of a command, as a process goes by it. */
export function parseCommandName(text: string): string {
  if (text === "" || text.includes("/"))
    throw new InvalidArgumentError("It must be the name of a command without its directory, such as ffmpeg.");
  return text;
}

export function parsePid(text: string): number {
  return parseInteger(text, 1, 4_194_304);
}
