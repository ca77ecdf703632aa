import type { OpenJob } from "../../jobs/model/job.ts";
import { paceByIntent, paceOf, paceOfAll } from "../../metrics/hindrance/pace.ts";

/** Returns whether a job has to keep up with real time, by its recorded command and by the operator's word. */
export function isLiveJob({ command, intent }: Pick<OpenJob, "command" | "intent">): boolean {
  const pace = paceOf(command);
  return paceByIntent(paceOfAll(pace === undefined ? [] : [pace]), intent).targetSpeed !== null;
}
