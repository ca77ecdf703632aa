import { eventJson } from "../jobs/json.ts";
import { factsOfEnding } from "../jobs/model/ending.ts";
import { outcomeOf } from "../jobs/model/outcome.ts";
import { runtimeOf } from "../jobs/model/runtime.ts";
import type { LogEntry } from "../ledger/reader.ts";

/** Returns an event of a job or of the daemon, as `ffrtmp events --json` prints it. */
export function logLineJson(entry: LogEntry) {
  return { time: new Date(entry.atMs).toISOString(), ...partsOf(entry) };
}

function partsOf(entry: LogEntry): { kind: string; job_id: string | null; detail: unknown } {
  switch (entry.kind) {
    case "registered":
      return { kind: "registered", job_id: entry.job.jobId, detail: { mode: entry.job.mode } };
    case "started": {
      const { job, hasChanged } = entry;
      // The outcomes at the start are not recorded apart from the later ones.
      const limits = hasChanged ? null : job.outcomes;
      const detail = { mode: job.mode, pid: job.process?.pid ?? null, limits };
      return { kind: "started", job_id: job.jobId, detail };
    }
    case "ended": {
      const { job, result } = entry;
      const { ending, ...facts } = factsOfEnding(result.ending);
      const runtime = runtimeOf(job, result);
      const detail = {
        ending,
        outcome: outcomeOf(result.ending),
        pid: job.process?.pid ?? null,
        exit_code: facts.exitCode,
        signal: facts.signal,
        exit_evidence: facts.exitEvidence,
        exit_unknown_because: facts.exitUnknownBecause,
        platform_sla_compliant: result.slaCompliant,
        platform_sla_reason: result.slaReason,
        runtime_seconds: runtime?.bound === "exact" ? runtime.ms / 1000 : null,
      };
      const kind = ending === "detached" || ending === "never_started" ? ending : "ended";
      return { kind, job_id: job.jobId, detail };
    }
    case "recorded": {
      const { kind, detail } = eventJson(entry.event);
      return { kind: String(kind), job_id: entry.jobId, detail };
    }
  }
}
