import { useEffect, useState } from "preact/hooks";
import { needText } from "../../metrics/shares/needText.ts";
import { Chart } from "./chart.tsx";
import type { JobDetail, JobView, Snapshot } from "./data.ts";
import {
  bitRateText,
  byteRateText,
  coresText,
  durationText,
  memoryText,
  percentText,
  speedText,
  timeText,
} from "./format.ts";
import { markOf, memoryLimitOf } from "./jobTable.tsx";
import { LimitTable } from "./limits.tsx";
import { DataTable } from "./parts.tsx";
import { pathOf } from "./route.ts";
import {
  addFigures,
  type FigureName,
  type Figures,
  figuresOfJob,
  figuresOfPoint,
  joinFigures,
} from "./series.ts";
import { useDocument } from "./useDocument.ts";
import { detailText, eventText, hindranceOf, progressText, sourceText } from "./words.ts";

const SPANS = [
  ["usage_last_10_minutes", "10 min"],
  ["usage_last_6_hours", "6 h"],
  ["usage_history", "all"],
] as const;
type Span = (typeof SPANS)[number][0];

const RELOAD_MS = 10_000;
/** The measurements that the page itself keeps: 10 minutes at one each second. */
const MAX_SEEN = 600;

/** One job: why it is hindered, its charts against its limits, its facts and its timeline. */
export function JobPage({ jobId, snapshot }: { jobId: string; snapshot: Snapshot }) {
  const job = snapshot.jobs.find((each) => each.job_id === jobId);
  const isRunning = job !== undefined;
  const { data, problem } = useDocument<JobDetail>(
    `jobs/${encodeURIComponent(jobId)}`,
    isRunning,
    isRunning ? RELOAD_MS : undefined,
  );
  const facts = job ?? data;
  return (
    <article class="job">
      <p>
        <a href={pathOf("jobs")}>← all jobs</a>
      </p>
      <h2 tabIndex={-1}>{jobId}</h2>
      {facts && (
        <p class="command">
          {facts.command.join(" ")}
          {facts.command_cut && " …"}
        </p>
      )}
      {job && <Reason job={job} />}
      {!job && data && <EndLine job={data} />}
      {problem !== undefined && (
        <p class="notice" role="status">
          {facts ? `Its history is not there: ${problem}` : problem}
        </p>
      )}
      <Charts jobId={jobId} job={job} detail={data} />
      {facts && <Facts facts={facts} use={job?.use ?? null} now={snapshot.time} />}
      {facts && facts.limits.length > 0 && (
        <section>
          <h3>Limits</h3>
          <LimitTable label="Limits of this job" rows={facts.limits.map((limit) => ({ limit }))} />
        </section>
      )}
      {data && <Timeline {...data} />}
    </article>
  );
}

function Reason({ job }: { job: JobView }) {
  const hindrance = hindranceOf(job);
  const text = hindrance?.text ?? job.cpu_shortfall;
  if (text === null) return null;
  const [mark, , colour] = markOf(job);
  return (
    <p class={`notice ${hindrance ? colour : "warn"}`}>
      {hindrance && mark} {text}
    </p>
  );
}

function EndLine({ job: { result } }: { job: JobDetail }) {
  if (result === null) return null;
  const { exit_code: code, signal, exit_evidence: evidence, runtime_seconds: runtime } = result;
  const exit = signal ?? (code === null ? "exit unknown" : `exit ${code}`);
  return (
    <p class={result.platform_sla_compliant ? "notice" : "notice warn"}>
      <b>{result.outcome}</b>: {exit}
      {evidence && ` (by ${evidence})`}, ended {timeText(result.end_time ?? result.ended_before)}
      {runtime !== null && `, after ${durationText(runtime)}`} · SLA{" "}
      {result.platform_sla_compliant ? "compliant" : `violated: ${result.platform_sla_reason}`}
    </p>
  );
}

function Charts({
  jobId,
  job,
  detail,
}: {
  jobId: string;
  job: JobView | undefined;
  detail: JobDetail | undefined;
}) {
  const [span, setSpan] = useState<Span>("usage_last_10_minutes");
  const seen = useSeen(jobId, job);
  const shown = job === undefined ? "usage_history" : span;
  const history = (detail?.[shown]?.points ?? []).map(figuresOfPoint);
  const figures = joinFigures(history, seen);
  const times = figures.map(({ time }) => time);
  const of = (name: FigureName) => figures.map((each) => each[name]);
  const isKnown = (name: FigureName) => figures.some((each) => each[name] !== null);
  // A job without a connection sends nothing, and a chart would say nothing more.
  const sends = figures.some(({ sentBitsPerSecond: sent }) => sent !== null && sent > 0);
  const quota = job?.limits_in_force.cpu_cores ?? null;
  const memoryLimit = job ? memoryLimitOf(job) : null;
  const throttled =
    quota === null
      ? []
      : [
          {
            name: "throttled",
            colour: "--throttled",
            isArea: true,
            values: of("throttled").map((part) => (part === null ? null : part * quota)),
            format: (value: number) => percentText((100 * value) / quota),
          },
        ];
  return (
    <section aria-label="Charts">
      {job && (
        <fieldset class="spans">
          <legend class="hidden">Time shown</legend>
          {SPANS.map(([name, label]) => (
            <button key={name} type="button" aria-pressed={span === name} onClick={() => setSpan(name)}>
              {label}
            </button>
          ))}
        </fieldset>
      )}
      <div class="charts">
        <Chart
          title="CPU, cores"
          times={times}
          lines={[...throttled, { name: "used", colour: "--cpu", values: of("cores") }]}
          mark={quota === null ? null : { name: "quota", value: quota }}
          format={coresText}
          least={0.1}
        />
        {isKnown("speed") && (
          <Chart
            title="Speed"
            times={times}
            lines={[{ name: "media time per time", colour: "--speed", values: of("speed") }]}
            mark={{ name: "real time", value: 1 }}
            format={speedText}
            least={1}
          />
        )}
        <Chart
          title="Memory"
          times={times}
          lines={[{ name: "used", colour: "--memory", isArea: true, values: of("memoryBytes") }]}
          mark={memoryLimit === null ? null : { name: "limit", value: memoryLimit }}
          format={memoryText}
          isBinary
          least={1024 ** 2}
        />
        {isKnown("cpuWait") && (
          <Chart
            title="Waiting, part of the time"
            times={times}
            lines={[
              { name: "for CPUs", colour: "--cpu", values: of("cpuWait") },
              { name: "for memory", colour: "--memory", values: of("memoryWait") },
              { name: "for disks", colour: "--throttled", values: of("diskWait") },
            ]}
            mark={null}
            format={percentText}
            least={10}
          />
        )}
        {sends && (
          <Chart
            title="Sent"
            times={times}
            lines={[{ name: "rate", colour: "--sent", values: of("sentBitsPerSecond") }]}
            mark={null}
            format={(bits) => bitRateText(bits / 8)}
            least={1000}
          />
        )}
        {sends && isKnown("backlogSeconds") && (
          <Chart
            title="Send backlog"
            times={times}
            lines={[
              { name: "waits to be sent", colour: "--throttled", isArea: true, values: of("backlogSeconds") },
            ]}
            mark={null}
            format={(value) => `${value.toFixed(1)} s`}
            least={2}
          />
        )}
      </div>
    </section>
  );
}

/** Collects what the stream says about this job while it is shown. */
function useSeen(jobId: string, job: JobView | undefined): readonly Figures[] {
  const [seen, setSeen] = useState<readonly Figures[]>([]);
  useEffect(() => setSeen([]), [jobId]);
  useEffect(() => {
    if (job) setSeen((before) => addFigures(before, figuresOfJob(job), MAX_SEEN));
  }, [job]);
  return seen;
}

function Facts({ facts, use, now }: { facts: JobView | JobDetail; use: JobView["use"]; now: string }) {
  const { network, media } = use ?? {};
  const pairs: [string, string | null | undefined | false][] = [
    ["pid", facts.pid === null ? null : String(facts.pid)],
    ["user", facts.user],
    ["tenant", facts.tenant],
    ["governed", `${timeText(facts.start_time, new Date(now))}, by ffrtmp ${facts.mode}`],
    ["chosen by", facts.rule ? `rule ${facts.rule}` : facts.decided_by?.replaceAll("_", " ")],
    ["intent", facts.intent],
    [
      "labels",
      Object.entries(facts.labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(", "),
    ],
    ["speed", media?.speed != null && `${speedText(media.speed)} ${sourceText(media.source)}`],
    ["progress", use && progressText(use)],
    ["sure of", use?.sure_cores != null && `${coresText(use.sure_cores)} cores`],
    [
      "needs",
      use?.need_cores != null &&
        `${needText(use.need_cores, use.need_sample_seconds, use.need_while_keeping_up)} cores`,
    ],
    ["processes", use && `${use.process_count ?? "–"}, ${use.task_count ?? "–"} tasks`],
    ["waits for CPU", use && percentText(use.cpu_pressure_percent)],
    ["waits for memory", use && percentText(use.memory_pressure_percent)],
    ["waits for disks", use && percentText(use.io_pressure_percent)],
    ["memory peak", use && memoryText(use.memory_peak_bytes)],
    ["read", use && byteRateText(use.io_read_bytes_per_second)],
    ["written", use && byteRateText(use.io_write_bytes_per_second)],
    [
      "received",
      network && network.tcp_connections > 0 && bitRateText(network.tcp_received_bytes_per_second),
    ],
    [
      "GPU",
      use?.gpu &&
        `${memoryText(use.gpu.memory_bytes)}, encoder ${percentText(use.gpu.encoder_percent)}, decoder ${percentText(use.gpu.decoder_percent)}`,
    ],
    ["log", facts.log],
  ];
  return (
    <section>
      <h3>Facts</h3>
      <dl class="facts">
        {pairs.map(
          ([name, value]) =>
            value && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
    </section>
  );
}

function Timeline({ timeline }: JobDetail) {
  return (
    <section>
      <h3>Timeline</h3>
      <DataTable
        label="Timeline of this job"
        columns={[{ name: "Time" }, { name: "Event" }, { name: "Details" }]}
        rows={timeline.map(({ time, kind, detail }, index) => ({
          key: `${time} ${index}`,
          cells: [timeText(time), eventText(kind), detailText(detail)],
        }))}
      />
    </section>
  );
}
