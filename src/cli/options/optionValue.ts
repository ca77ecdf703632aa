import { InvalidArgumentError } from "commander";
import { Refusal } from "../../jobs/errors.ts";
import { parseBytes, parseDuration, parseWhole, ValueFault } from "../../limits/units.ts";

/** Makes an option's parser from one of src/limits. Commander shows its fault with the option and text. */
export function optionValue<T>(expected: string, parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof ValueFault)) throw error;
      throw new InvalidArgumentError(`It ${error.message}. Expected: ${expected}.`);
    }
  };
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return optionValue(`a whole number from ${min} to ${max}`, (text) => parseWhole(text, min, max));
}

export function size(minBytes: number): (text: string) => number {
  return optionValue(`a size of at least ${minBytes} bytes, such as 512K or 8MiB`, (text) => {
    const bytes = parseBytes(text, 1);
    if (bytes < minBytes) throw new ValueFault("is too small");
    return bytes;
  });
}

/** Parses names of commands, as processes show them, with commas between them. */
export function parseCommandNames(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.some((name) => name === "" || name.includes("/")))
    throw new InvalidArgumentError("It must be the name of a command without its directory, such as ffmpeg.");
  return names;
}

/** A shorter time than a period of a CPU quota measures a part of the period. */
const MIN_STATS_INTERVAL_MS = 100;
const MAX_STATS_INTERVAL_MS = 24 * 3_600_000;

export const parseStatsInterval = optionValue("a time from 100ms to 24h, such as 5s", (text) => {
  const ms = parseDuration(text);
  if (ms < MIN_STATS_INTERVAL_MS) throw new ValueFault("is too short");
  if (ms > MAX_STATS_INTERVAL_MS) throw new ValueFault("is too long");
  return ms;
});

/** The largest pid_max of the kernel: proc(5). */
const MAX_PID = 4_194_304;

/** Throws a Refusal for the number of a process that cannot exist, as for one that does not. */
export function parsePid(text: string): number {
  const pid = optionValue("the number of a process, such as 4026", (given) =>
    parseWhole(given, -Infinity, Infinity),
  )(text);
  if (pid >= 1 && pid <= MAX_PID) return pid;
  throw new Refusal(`process ${text} does not exist`, "see what runs: ps -e");
}
