import { isAlive } from "../linux/proc/identity.ts";
import type { Context } from "./context.ts";
import { type Job, observerOf } from "./model/job.ts";

/** Returns true while the ffrtmp that will record the job's end is alive. */
export function isObserved(context: Context, job: Job): boolean {
  const observer = observerOf(job);
  return observer !== null && isAlive(context.host, observer);
}
