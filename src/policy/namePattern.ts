import { basename } from "node:path";
import { commOf } from "../linux/proc/comm.ts";
import type { ProcessNames } from "./facts.ts";
import { compilePattern } from "./pattern.ts";

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
  const { literal, matches } = compilePattern(text);
  if (literal !== undefined) return { ...exactName(literal), text };
  return {
    text,
    literal,
    find: ({ executable, argv0, comm }) =>
      [executable, argv0, comm].find((name) => name !== "" && matches(name)),
  };
}

/** Returns a pattern that matches one name, in which no character is special. */
export function exactName(name: string): NamePattern {
  const cut = commOf(name);
  return {
    text: name,
    literal: name,
    find: ({ comm, executable, argv0 }) =>
      name !== "" && (comm === cut || executable === name || argv0 === name) ? name : undefined,
  };
}

/** Returns the name of the executable, else that of the first argument, else the comm. */
export function bestName({ executable, argv0, comm }: ProcessNames): string {
  return executable || argv0 || comm;
}

/** The first argument is any text, and may end up in messages: its name is as long as that of a file can be. */
const MAX_NAME_LENGTH = 255;

export function namesOf(comm: string, argv0 = "", executable = ""): ProcessNames {
  // The last part of a URL is no name of a program, and it may be a stream key, which no message must show.
  const name = argv0.includes("://") ? "" : basename(argv0).slice(0, MAX_NAME_LENGTH);
  return { comm, argv0: name, executable: basename(executable) };
}
