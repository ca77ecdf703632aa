import { basename } from "node:path";

// --start-at seconds:60 --stop-at seconds:120 --chapters=1-3 -c 2 -c2
const PART = /^(--(start-at|stop-at|chapters)(=|$)|-c(\d|$))/;

/** Returns whether a command line is that of HandBrakeCLI and limits it to a part of its input, whose length is then not known. */
export function usesPartOfInput([program = "", ...words]: readonly string[]): boolean {
  return basename(program) === "HandBrakeCLI" && words.some((word) => PART.test(word));
}
