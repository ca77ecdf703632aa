import { useState } from "preact/hooks";
import type { Result, ResultPage, Snapshot } from "./data.ts";
import { durationText, timeText, UNKNOWN } from "./format.ts";
import { DataTable, Empty } from "./parts.tsx";
import { jobPath } from "./route.ts";
import { useDocument } from "./useDocument.ts";

const PAGE = 100;

/** Ended jobs: the history, the violations of the SLA, and the last few beside the running jobs. */

export function ResultTable({ label, results }: { label: string; results: readonly Result[] }) {
  return (
    <DataTable
      label={label}
      columns={[
        { name: "Ended" },
        { name: "Job" },
        { name: "Outcome" },
        { name: "Exit" },
        { name: "Runtime", isNumber: true },
        { name: "SLA" },
      ]}
      rows={results.map((result) => ({
        key: `${result.job_id} ${result.start_time} ${result.end_time ?? result.ended_before}`,
        cells: [
          endText(result),
          <a href={jobPath(result.job_id)}>{result.job_id}</a>,
          <span class={result.outcome === "succeeded" ? "good" : "warn"}>{result.outcome}</span>,
          exitText(result),
          runtimeText(result),
          result.platform_sla_compliant ? (
            "compliant"
          ) : (
            <span class="warn">{result.platform_sla_reason.replaceAll("_", " ")}</span>
          ),
        ],
      }))}
    />
  );
}

function endText({ end_time: end, ended_before: before }: Result): string {
  return end === null && before !== null ? `before ${timeText(before)}` : timeText(end);
}

function exitText({ exit_code: code, signal, exit_unknown_because: because }: Result): string {
  return signal ?? (code === null ? `unknown${because === null ? "" : `: ${because}`}` : String(code));
}

function runtimeText({ runtime_seconds: exact, runtime_at_most_seconds: most }: Result): string {
  if (exact !== null) return durationText(exact, true);
  return most === null ? UNKNOWN : `≤ ${durationText(most, true)}`;
}

export function History({ snapshot }: { snapshot: Snapshot }) {
  return <Results path="history" snapshot={snapshot} label="Ended jobs" empty="No job has ended yet." />;
}

export function Violations({ snapshot }: { snapshot: Snapshot }) {
  const { rate_percent: rate, eligible } = snapshot.sla.overall;
  return (
    <>
      <p class="lead">
        {rate === null
          ? "No job that counts in the SLA ended in the last 24 hours."
          : `${rate} % of the ${eligible} jobs that ended in the last 24 hours and count in the SLA are compliant.`}
      </p>
      <Results path="violations" snapshot={snapshot} label="SLA violations" empty="There is no violation." />
    </>
  );
}

interface ResultsProps {
  readonly path: string;
  readonly snapshot: Snapshot;
  readonly label: string;
  readonly empty: string;
}

/** A list that changes only when a job ends, a page at a time. */
function Results({ path, snapshot: { ended }, label, empty }: ResultsProps) {
  /** The places after which the pages begin that lead to this one. */
  const [places, setPlaces] = useState<readonly string[]>([]);
  const place = places.at(-1);
  const { data, problem } = useDocument<ResultPage>(
    `${path}?limit=${PAGE}${place === undefined ? "" : `&before=${encodeURIComponent(place)}`}`,
    `${ended[0]?.job_id} ${ended[0]?.end_time}`,
  );
  const next = data?.next ?? null;
  return (
    <>
      {problem !== undefined && <p class="notice warn">{problem}</p>}
      {data?.results.length === 0 && <Empty>{empty}</Empty>}
      {data && data.results.length > 0 && <ResultTable label={label} results={data.results} />}
      {(place !== undefined || next !== null) && (
        <p>
          <button type="button" disabled={place === undefined} onClick={() => setPlaces(places.slice(0, -1))}>
            Later
          </button>{" "}
          <button type="button" disabled={next === null} onClick={() => next && setPlaces([...places, next])}>
            Earlier
          </button>
        </p>
      )}
    </>
  );
}
