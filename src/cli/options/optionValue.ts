import { InvalidArgumentError } from "commander";
import { parseBytes, parseWhole, ValueFault } from "../../limits/units.ts";

/** Parsers of single option values. They throw what commander shows together with the option and the text. */

/** The parser of an option from one of src/limits; `right` says what would do. */
export function optionValue<T>(right: string, parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof ValueFault)) throw error;
      throw new InvalidArgumentError(`It ${error.message}. Right would be: ${right}.`);
    }
  };
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  return optionValue(`a whole number from ${least} to ${most}`, (text) => parseWhole(text, least, most));
}

/** Bytes. */
export function size(leastBytes: number): (text: string) => number {
  return optionValue(`a size of at least ${leastBytes} bytes, such as 512K or 8MiB`, (text) => {
    const bytes = parseBytes(text, 1);
    if (bytes < leastBytes) throw new ValueFault("is too small");
    return bytes;
  });
}

/** The name of a command, as a process goes by it. */
export function parseCommandName(text: string): string {
  if (text === "" || text.includes("/"))
    throw new InvalidArgumentError("It must be the name of a command without its directory, such as ffmpeg.");
  return text;
}

export const parsePid = wholeNumber(1, 4_194_304);
