import type { CommandNode, Value } from "./commandTree.ts";

/** The words that one position of the command line accepts. Each shell lists them in its own way. */
export type Candidates =
  | { kind: "words"; words: string[] }
  /** `jobs` are the running jobs, and `allJobs` includes the recorded jobs that ended. */
  | { kind: "directories" | "files" | "pids" | "jobs" | "allJobs" | "commandNames" | "nothing" };

/** Commands that act on running jobs. All others with a job argument accept ended jobs too. */
const ACT_ON_OPEN_JOBS = ["ffrtmp detach", "ffrtmp stats", "ffrtmp limits set", "ffrtmp limits reset"];

/** Derives the candidates from the placeholder, so that a new option needs no entry here. */
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
