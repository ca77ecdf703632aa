import type { Job } from "../jobs/model/job.ts";
import { type ShownCommand, shownCommand } from "../jobs/model/secrets.ts";

/** Masks the command of each job once, which takes longer than all else that is shown of it. */
export class ShownCommands {
  #known = new Map<string, ShownCommand>();

  /** Returns the commands of these jobs, which do not change during a job's life. Forgets all others. */
  of(jobs: readonly Job[]): ReadonlyMap<string, ShownCommand> {
    this.#known = new Map(jobs.map((job) => [job.key, this.#known.get(job.key) ?? shownCommand(job)]));
    return this.#known;
  }
}
