import { jobJson, resultJson } from "../jobs/json.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import type { Job } from "../jobs/model/job.ts";
import { outcomeOf } from "../jobs/model/outcome.ts";
import { type ShownCommand, shownCommand } from "../jobs/model/secrets.ts";
import type { Hindrance } from "../metrics/hindrance/hindrance.ts";
import type { JobSample } from "../metrics/sampler.ts";
import type { JobShares } from "../metrics/shares/jobShares.ts";
import { hindranceJson, sharesJson, useJson } from "./jobUse.ts";
import { userNameOf } from "./userNames.ts";

/** A job in the list of `ps`. */
export interface ListedJob {
  job: Job;
  /** The command with its secrets masked. Absent: it is masked here. */
  shown?: ShownCommand | undefined;
  /** Absent: it has not ended. */
  result?: JobResult;
  /** Absent: it has ended, or nothing was measured. */
  sample?: JobSample;
  /** Absent or `null`: nothing is known to hold it back. */
  hindrance?: Hindrance | null;
  /** Absent or `null`: not known. */
  shares?: JobShares | null;
}

export function listedJobJson({
  job,
  shown = shownCommand(job),
  result,
  sample,
  hindrance,
  shares,
}: ListedJob) {
  return {
    ...jobJson(job, shown),
    user: userNameOf(job.uid),
    outcome: result ? outcomeOf(result.ending) : null,
    ...useJson(sample),
    hindrance: hindranceJson(hindrance ?? null),
    ...sharesJson(job, shares ?? null),
    result: result ? resultJson(job, result, shown) : null,
  };
}
