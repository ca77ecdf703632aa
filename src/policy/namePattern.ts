import { basename } from "node:path";
import type { ProcessNames } from "./facts.ts";
import { compilePattern, type Pattern } from "./pattern.ts";

/** The kernel cuts names to this many bytes (TASK_COMM_LEN − 1). */
const COMM_BYTES = 15;

/** A pattern of the name of a command, which each of the three names of a process can match. */
export interface NamePattern {
  readonly text: string;
  /** The only name that the pattern matches; `undefined` when it has a special character. */
  readonly literal: string | undefined;
  /** Returns the name that matched, in full where the kernel has cut it; `undefined` when none did. */
  find(names: ProcessNames): string | undefined;
}

/** Throws ValueFault. */
export function compileNamePattern(text: string): NamePattern {
  return toNamePattern(compilePattern(text));
}

/** Returns a pattern that matches one name, in which no character is special. */
export function exactName(name: string): NamePattern {
  return toNamePattern({ text: name, literal: name, matches: (candidate) => candidate === name });
}

function toNamePattern({ text, literal, matches }: Pattern): NamePattern {
  if (literal === undefined) {
    return {
      text,
      literal,
      find: ({ executable, argv0, comm }) =>
        [executable, argv0, comm].find((name) => name !== "" && matches(name)),
    };
  }
  const comm = Buffer.from(literal).subarray(0, COMM_BYTES).toString();
  return {
    text,
    literal,
    find: (names) =>
      literal !== "" && (names.comm === comm || names.executable === literal || names.argv0 === literal)
        ? literal
        : undefined,
  };
}

/** Returns the name of the executable, else that of the first argument, else the comm. */
export function bestName({ executable, argv0, comm }: ProcessNames): string {
  return executable || argv0 || comm;
}

export function namesOf(
  comm: string,
  argv0: string | undefined,
  executable: string | undefined,
): ProcessNames {
  return { comm, argv0: basename(argv0 ?? ""), executable: basename(executable ?? "") };
}
