import type { Pace } from "./hindrance/pace.ts";
import type { JobMedia } from "./media/mediaReader.ts";
import type { JobNetwork } from "./network/networkReader.ts";
import type { JobSample } from "./sampler.ts";

/** The use of resources by one job, and its progress, as they were measured. */
export interface MeasuredUse extends JobSample {
  /** `null`: its connections are not visible. */
  readonly network: JobNetwork | null;
  readonly media: JobMedia;
  /** `null`: its command line could not be read, or not yet. */
  readonly pace: Pace | null;
}
