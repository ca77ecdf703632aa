import { Refusal } from "../../jobs/errors.ts";
import { parseDuration, ValueFault } from "../../limits/units.ts";
import { parseTimePoint, TIME_POINT } from "./timePoint.ts";

const WAIT_TIME = "a time up to 24d, such as 90s or 2h";

/** A timer of the runtime counts ms in 31 bits. */
const MAX_WAIT_MS = 24 * 86_400_000;

/** Returns ms. */
export function parseWaitTime(text: string): number {
  const ms = parseDuration(text);
  if (ms > MAX_WAIT_MS) throw new ValueFault("is more than 24d");
  return ms;
}

/** Parses options in their commands: the parser of the command line would load this code for the start of `run` too. */
export const timeOptions = {
  since: (text: string, nowMs: number): number =>
    parseOption("--since", text, TIME_POINT, (each) => parseTimePoint(each, nowMs, "start")),
  until: (text: string, nowMs: number): number =>
    parseOption("--until", text, TIME_POINT, (each) => parseTimePoint(each, nowMs, "end")),
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
