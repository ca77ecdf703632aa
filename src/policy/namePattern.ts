import { basename } from "node:path";
import type { ProcessNames } from "./facts.ts";
import { compilePattern, type Pattern } from "./pattern.ts";

/** The kernel cuts names to this many bytes (TASK_COMM_LEN − 1). */
const COMM_BYTES = 15;

/** A pattern of a command's name, which a process may go by in three ways. */
export interface NamePattern {
  readonly text: string;
  readonly literal: string | undefined;
  /** The name that matched, in full where only a cut one was to be seen; `undefined` when none did. */
  find(names: ProcessNames): string | undefined;
}

/** Throws ValueFault. */
export function compileNamePattern(text: string): NamePattern {
  return nameOf(compilePattern(text));
}

/** The name itself, whatever characters it holds. */
export function exactName(name: string): NamePattern {
  return nameOf({ text: name, literal: name, matches: (candidate) => candidate === name });
}

function nameOf({ text, literal, matches }: Pattern): NamePattern {
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

/** By its executable, by how it was called, by its name: the first that it has. */
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
