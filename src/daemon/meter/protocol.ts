import type { Pace } from "../../metrics/hindrance/pace.ts";
import type { JobMedia } from "../../metrics/media/mediaReader.ts";
import type { JobNetwork } from "../../metrics/network/networkReader.ts";
import type { JobInTree } from "../../metrics/shares/treeReading.ts";
import type { DeviceReading } from "../../sys/nvml.ts";

/** A job to measure, by the key that it has in the ledger. */
export interface MeterSubject {
  readonly key: string;
  readonly pids: readonly number[];
  /** Absent: it has no cgroup. */
  readonly place?: JobInTree | undefined;
}

/** One line of JSON from the daemon to the meter, which answers each before it reads the next one. */
export interface MeterRequest {
  readonly jobs: readonly MeterSubject[];
  /** Jobs that are not measured any more. */
  readonly forgotten: readonly string[];
  /** There is no job for now: the meter starts again, and answers after that. */
  readonly isLast?: boolean;
}

/** The measurements of a job that only the meter makes. */
export interface MeterReading {
  /** `null`: its connections are not visible. */
  readonly network: JobNetwork | null;
  readonly media: JobMedia;
  /** `null`: its command line could not be read yet. */
  readonly pace: Pace | null;
  /** See `JobShares`. Absent from a meter of an earlier release: a meter that rests starts the executable that is there then. */
  readonly sureCores?: number | null;
}

/** One line of JSON from the meter to the daemon. */
export interface MeterAnswer {
  readonly readings: readonly (MeterReading & { readonly key: string })[];
  /** `null`: no NVIDIA driver, or no reading of the last seconds. */
  readonly devices: readonly DeviceReading[] | null;
  /** Messages for the operator, each sent once. */
  readonly warnings: readonly string[];
}
