import { eventJson, isoTime } from "../../jobs/json.ts";
import { factsOfEnding } from "../../jobs/model/ending.ts";
import { outcomeOf } from "../../jobs/model/outcome.ts";
import { runtimeOf } from "../../jobs/model/runtime.ts";
import { summaryLine } from "../../jobs/summary.ts";
import type { LogEntry } from "../../ledger/reader.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { formatTimeOfDay } from "./times.ts";

/** `event_source_changed` */
const KIND_WIDTH = 20;

/**
 * Returns the line of an event: its time, kind and job, `-` where it has none, and its detail as `name=value`.
 * `2026-11-26T22:33:52.123+01:00  started               transcode-001  mode=run pid=4026 limits="cpu.max applied"`
 */
export function logLineText(entry: LogEntry, zone: "local" | "utc"): string {
  const { kind, job_id: job, detail } = partsOf(entry);
  // One word, so that the columns of a line can be counted.
  const time = formatTimeOfDay(entry.atMs, zone, 3).replace(" ", "T");
  const columns = [time, kind.padEnd(KIND_WIDTH), job ?? "-", detailText(entry, detail)];
  return oneLine(columns.join("  ").trimEnd());
}

/** Returns the same as JSON on one line. */
export function logLineJson(entry: LogEntry): string {
  const { kind, job_id, detail } = partsOf(entry);
  return JSON.stringify({ time: isoTime(entry.atMs), kind, job_id, detail });
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

function detailText(entry: LogEntry, detail: unknown): string {
  // The words that operators know from the line of the job's end.
  if (entry.kind === "ended") return summaryLine(entry.job, entry.result).split(" | ").slice(1).join(" ");
  if (entry.kind === "started") {
    const { mode, process, outcomes } = entry.job;
    const limits = outcomes.map(({ limit, of, outcome }) => `${of ? `${of}'s ` : ""}${limit} ${outcome}`);
    return pairsText({ mode, pid: process?.pid, ...(entry.hasChanged || !limits.length ? {} : { limits }) });
  }
  return typeof detail === "object" && detail !== null ? pairsText(detail) : JSON.stringify(detail ?? null);
}

function pairsText(detail: object): string {
  const pairs = Object.entries(detail).filter(
    ([, value]) => value !== null && value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  return pairs.map(([name, value]) => `${name}=${valueText(value)}`).join(" ");
}

function valueText(value: unknown): string {
  const words = Array.isArray(value) && value.every((each) => typeof each !== "object");
  const text = words ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
