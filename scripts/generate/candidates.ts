import type { CommandNode, Value } from "./commandTree.ts";

/** What may stand in a place of the command line; each shell has its own way to list it. */
export type Candidates =
  | { kind: "words"; words: string[] }
  /** `jobs` are the open ones, `allJobs` those on record that have ended too. */
  | { kind: "directories" | "files" | "pids" | "jobs" | "allJobs" | "commandNames" | "nothing" };

/** These act on what lives; every other command that names a job looks at what has ended too. */
const ACT_ON_OPEN_JOBS = ["ffrtmp detach", "ffrtmp limits set", "ffrtmp limits reset"];

/** Told by the placeholder, so that a new option is completed without a word about it here. */
export function candidatesFor(command: CommandNode, { name, choices }: Value): Candidates {
  if (choices.length > 0) return { kind: "words", words: choices };
  switch (name) {
    case "dir":
      return { kind: "directories" };
    case "file":
    case "path":
      return { kind: "files" };
    case "pid":
      return { kind: "pids" };
    case "job":
      return { kind: ACT_ON_OPEN_JOBS.includes(command.words.join(" ")) ? "jobs" : "allJobs" };
    case "name":
      return { kind: "commandNames" };
    default:
      return { kind: "nothing" };
  }
}
