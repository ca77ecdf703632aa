import { version } from "../../package.json";
import { pidfdsReportExitCodes } from "../linux/events/bestEvents.ts";
import type { Peer } from "../sys/unixSocket.ts";
import type { ControlAnswer, ControlHandlers, ControlRequest } from "./controlSocket.ts";
import type { DaemonDocuments } from "./documents.ts";
import type { JobTracker } from "./jobTracker.ts";
import type { LiveStatus } from "./status.ts";

/** The points of each history of a job, unless the reader asks for fewer. */
const MAX_POINTS = 360;

/** The daemon that requests are about. */
export interface RequestedDaemon {
  readonly tracker: JobTracker;
  readonly documents: DaemonDocuments;
  status(): LiveStatus;
  /** Returns whether the kernel reports the exits of all processes, with their codes. */
  hasConnector(): boolean;
  isStopped(): boolean;
}

/** Returns the answers to the requests of other ffrtmp processes, by the name of the request. */
export function requestHandlers(daemon: RequestedDaemon): ControlHandlers {
  const { tracker, documents } = daemon;
  const { measurements } = tracker;
  const takeOver = takeOverHandler(daemon);
  return {
    status: () => ({ ok: true, status: daemon.status() }),
    observe: takeOver,
    recorded: ({ job }) => tracker.reportRecorded(String(job)),
    hindrances: () => ({ ok: true, hindrances: measurements.hindrances() }),
    usage: ({ job }) => ({
      ok: true,
      rings: measurements.encodedRingsOf(String(job)),
      hindrance: measurements.hindrances()[String(job)] ?? null,
    }),
    snapshot: () => documents.inBackground(() => `{"ok":true,"snapshot":${documents.snapshot()}}`),
    job: (request) => documents.inBackground(() => showJob(documents, request)),
    shares: () => ({
      ok: true,
      shares: Object.fromEntries(measurements.uses().map((use) => [use.job.key, use.shares])),
    }),
    findings: () => ({
      ok: true,
      ffrtmp_version: version,
      findings: Object.fromEntries(
        measurements.uses().map(({ job, media, hindrance }) => [job.key, { media, hindrance }] as const),
      ),
    }),
  };
}

function showJob(
  documents: DaemonDocuments,
  { job_id: jobId, points = MAX_POINTS }: ControlRequest,
): ControlAnswer {
  if (typeof jobId !== "string") return { ok: false, error: "job_id is missing: the id of a job" };
  if (!Number.isInteger(points) || Number(points) < 1)
    return { ok: false, error: "points is not a number of points" };
  const job = documents.job(jobId, Number(points));
  return job === undefined ? { ok: false, error: `there is no job ${jobId}` } : { ok: true, job };
}

/** Takes over the job of a process that started it in the background, if this daemon will know how it ends. */
function takeOverHandler(daemon: RequestedDaemon) {
  // Tested when it is first needed.
  let pidfdsHaveCodes: Promise<boolean> | undefined;
  return async ({ job: key }: ControlRequest, { pid }: Peer): Promise<ControlAnswer> => {
    if (typeof key !== "string") return { ok: false, error: "job is missing: the key of a job" };
    pidfdsHaveCodes ??= pidfdsReportExitCodes().catch(() => false);
    const hasCodes = (await pidfdsHaveCodes) || daemon.hasConnector();
    if (daemon.isStopped()) return { ok: false, error: "this ffrtmp watch is stopping" };
    if (!hasCodes) return { ok: false, error: "this machine does not show exit codes to ffrtmp watch" };
    const error = daemon.tracker.takeOverFrom(pid, key);
    return error === undefined ? { ok: true } : { ok: false, error };
  };
}
