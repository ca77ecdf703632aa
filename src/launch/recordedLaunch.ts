import type { RunningJob, StartingJob } from "../jobs/model/job.ts";
import type { ScopeEntry } from "../linux/systemd/ownScope.ts";
import type { LaunchCalls } from "./calls.ts";
import type { Circumstances } from "./circumstances.ts";

/** A launch that was plain: it made and wrote its own cgroups only, was refused nothing and warned of nothing. */
export interface RecordedLaunch extends LaunchCalls {
  /** When it was recorded, wall clock, ms since the epoch. */
  readonly recordedMs: number;
  /** The working directory that the options name, absolute; absent for that of the caller. */
  readonly workdir?: string;
  /** MemTotal of the machine where a memory limit was compared with it. */
  readonly memoryTotalBytes?: number;
  /** v2: the cgroup into which the workload is cloned. */
  readonly enters?: string;
  /** The scope that this process entered. */
  readonly scope?: OwnScope;
  readonly job: JobTemplate;
  readonly running: RunningTemplate;
}

/** The entry of this process into the scope of a job, and the directory of the cgroup that it leaves. */
export interface OwnScope {
  readonly entry: ScopeEntry;
  readonly origin: string;
}

/**
 * The fields that all jobs of one recorded launch have in common, before their start and after it. A half of the journal is
 * absent after it where the start has changed nothing in it.
 */
export type JobTemplate = Pick<
  StartingJob,
  "intent" | "slaEligible" | "tenant" | "labels" | "limits" | "byHand" | "cgroup" | "changes" | "decidedBy"
>;
export type RunningTemplate = Pick<RunningJob, "outcomes"> & Partial<Pick<RunningJob, "cgroup" | "changes">>;

/** A recorded launch is not used for longer: the full program looks at the machine again. */
const MAX_LAUNCH_AGE_MS = 24 * 3600 * 1000;

/** Stands for the name of the job's cgroups. The brace is in no name of a cgroup of ffrtmp. */
const GROUP = "{group}";

/**
 * Returns the content of the file: the circumstances, then the launch, one line of JSON each. `undefined` where a text of
 * the operator could be taken for the name of the cgroups.
 */
export function formatLaunch(
  circumstances: Circumstances,
  launch: RecordedLaunch,
  group: string,
): string | undefined {
  const text = JSON.stringify(launch);
  if (text.includes(GROUP)) return undefined;
  return `${JSON.stringify(circumstances)}\n${text.replaceAll(group, GROUP)}\n`;
}

/**
 * Returns a recorded launch for a job whose cgroups have the name `group`; `undefined` where it was recorded in other
 * circumstances or too long ago.
 */
export function parseLaunch(
  text: string,
  circumstances: Circumstances,
  group: string,
  nowMs: number,
): RecordedLaunch | undefined {
  const [first, second, rest] = text.split("\n");
  if (rest !== "" || first !== JSON.stringify(circumstances) || second === undefined) return undefined;
  const launch = JSON.parse(second.replaceAll(GROUP, group)) as RecordedLaunch;
  const ageMs = nowMs - launch.recordedMs;
  return ageMs >= 0 && ageMs < MAX_LAUNCH_AGE_MS ? launch : undefined;
}
