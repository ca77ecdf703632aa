import { Refusal } from "../../jobs/errors.ts";
import { parseDuration, ValueFault } from "../../limits/units.ts";

const SINCE = "a time such as 2h for two hours ago, or a date such as 2026-11-26 or 2026-11-26T21:00";
const WAIT_TIME = "a time up to 24d, such as 90s or 2h";

/** A timer of the runtime counts ms in 31 bits. */
const MAX_WAIT_MS = 24 * 86_400_000;

/** Returns ms since the epoch. A date without a zone is local time, as the operator's clock shows it. */
export function parseSince(text: string, nowMs: number): number {
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return nowMs - parseDuration(text);
  const [, day, clock = "", zone = ""] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?)?$/.exec(text) ?? [];
  const ms = day === undefined ? Number.NaN : Date.parse(`${day}T${clock || "00:00"}${zone}`);
  if (Number.isNaN(ms)) throw new ValueFault("is not a time");
  return ms;
}

/** Returns ms. */
export function parseWaitTime(text: string): number {
  const ms = parseDuration(text);
  if (ms > MAX_WAIT_MS) throw new ValueFault("is more than 24d");
  return ms;
}

/** Parses options in their commands: the parser of the command line would load this code for the start of `run` too. */
export const timeOptions = {
  since: (text: string, nowMs: number): number =>
    parseOption("--since", text, SINCE, (each) => parseSince(each, nowMs)),
  timeout: (text: string): number => parseOption("--timeout", text, WAIT_TIME, parseWaitTime),
};

/** Fails in the words of that parser. */
function parseOption(
  option: string,
  text: string,
  expected: string,
  parse: (text: string) => number,
): number {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    throw new Refusal(
      `option '${option} <time>' argument '${text}' is invalid. It ${error.message}. Expected: ${expected}.`,
    );
  }
}
