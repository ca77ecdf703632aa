import { formatDuration } from "../../jobs/duration.ts";
import { isInForce } from "../../limits/outcome.ts";
import { needText } from "../../metrics/shares/needText.ts";
import { memoryText, rateText, shareText } from "../output/amounts.ts";
import { limitsText } from "../output/limitText.ts";
import { bitRateText, coresText } from "./amounts.ts";
import { lineOf, type Span, spread } from "./cells.ts";
import { type ChartCell, chart, roundedUp, valuesPerCell } from "./charts.ts";
import { clockText, type TimelineEntry } from "./eventTexts.ts";
import { isSlow, speedText } from "./jobTexts.ts";
import {
  coresOf,
  type JobUseJson,
  memoryLimitOf,
  quotaCoresOf,
  type ScreenData,
  type ScreenJob,
  sentBytesPerSecondOf,
} from "./screenData.ts";
import { type Style, symbols } from "./style.ts";
import { TRACK_MS, type TrackName } from "./track.ts";

/** The width of the names at the left, and of the scale of a chart. */
const LABEL = 10;
const SCALE = 6;
const [MIN_CHART_ROWS, MAX_CHART_ROWS] = [2, 7];
/** The entries of the timeline that are more important than a larger chart. */
const MIN_TIMELINE = 4;

export interface JobViewOptions {
  readonly columns: number;
  /** The lines that the screen has for it; the charts grow with them. */
  readonly height: number;
  readonly style: Style;
}

/** The input of the view of one job, beside the measurements. `undefined`: it is not shown. */
export interface JobDetail {
  readonly timeline: readonly TimelineEntry[];
  /** Where to find what is not here. */
  readonly note?: string;
  /** The end of its log, or why there is none. */
  readonly log: { readonly lines: readonly string[] } | { readonly because: string };
}

/** Returns the lines of the view of one job: what it does, what it uses, its limits and its timeline. */
export function renderJob(
  data: ScreenData,
  row: ScreenJob,
  { timeline, note }: Pick<JobDetail, "timeline" | "note">,
  { columns, height, style }: JobViewOptions,
): string[] {
  const { hindered, none, rule } = symbols(style);
  const field = (name: string, ...spans: Span[]) =>
    lineOf(style, columns, [[name.padEnd(LABEL), "bold"], ...spans]);
  const alarm = row.use.hindrance?.live ? ("yellow" as const) : undefined;
  const reason =
    row.hindrance === null ? [] : [lineOf(style, columns, [[`${hindered} ${row.hindrance}`, alarm]])];
  const facts = [
    field("WAITS", waitsText(row.use, style)),
    ...sureLines(row.use).map((text) => field("SURE", text)),
    ...(row.use.cpu_shortfall ? [field("", ["it will fall behind when the machine is full", "yellow"])] : []),
    field("MEMORY", memoryLine(row, style)),
    ...networkLines(row, data.atBootMs, style).map((text, index) =>
      field(index === 0 ? "NETWORK" : "", text),
    ),
    field("IO", ioText(row.use, none)),
    field("PROCESSES", processesText(row.use, none)),
    ...(row.use.gpu === null ? [] : [field("GPU", gpuText(row.use.gpu, style))]),
    ...limitLines(row, field),
  ];
  const clocks = timeline.map(({ atMs }) => clockText(atMs, data.atMs));
  const clockWidth = Math.max(0, ...clocks.map((clock) => clock.length));
  const times = timeline.map(({ text }, index) =>
    lineOf(style, columns, [` ${(clocks[index] ?? "").padStart(clockWidth)}  `, text]),
  );
  if (note !== undefined) times.unshift(lineOf(style, columns, [` ${note}`]));
  const hasSpeed = row.use.media.speed !== null || row.track.points.some(({ speed }) => speed !== null);
  const others = reason.length + facts.length + 3 + Math.min(MIN_TIMELINE, times.length);
  const chartRows = Number.isFinite(height)
    ? Math.max(MIN_CHART_ROWS, Math.min(MAX_CHART_ROWS, Math.floor((height - others) / (hasSpeed ? 2 : 1))))
    : MIN_CHART_ROWS;
  const size = { columns, rows: chartRows, style };
  return [
    ...reason,
    spread(
      style,
      columns,
      [
        ["SPEED".padEnd(LABEL), "bold"],
        [speedText(row.use, style), isSlow(row) ? "red" : "bold"],
        sourceText(row.use),
      ],
      [progressText(row, style)],
    ),
    ...(hasSpeed ? chartLines(data, row, "speed", row.isLive ? 1 : null, size) : []),
    spread(
      style,
      columns,
      [["CPU".padEnd(LABEL), "bold"], [coresText(coresOf(row.use), none), "bold"], ofQuotaText(row)],
      [throttledLine(row)],
    ),
    ...chartLines(data, row, "cores", quotaCoresOf(row.job), size),
    ...facts,
    lineOf(style, columns, [[rule.repeat(Number.isFinite(columns) ? columns : 80), "dim"]]),
    ...times,
  ];
}

function sourceText({ media }: JobUseJson): string {
  if (media.source === "none") return "";
  const over = media.speed_over_seconds === null ? "" : ` over ${media.speed_over_seconds.toFixed(0)} s,`;
  return ` ${over} from ${media.source}`;
}

/** Returns `live, 2h14m processed`, `43 % of 1h20m, 11m left`. */
function progressText({ isLive, use }: ScreenJob, style: Style): string {
  const {
    media_seconds: seconds,
    length_seconds: length,
    percent,
    remaining_seconds: left,
    state,
  } = use.media;
  const duration = (value: number) => formatDuration(1000 * value);
  const isWhole = percent !== null && !isLive;
  const mark = use.media.percent_is_estimate ? "~" : "";
  const parts = [
    state === "stuck" ? "stuck: no progress for 2 min" : isLive ? "live" : state === "finishing" ? state : "",
    isWhole && state !== "finishing"
      ? `${mark}${Math.floor(percent)} %${length === null ? "" : ` of ${duration(length)}`}`
      : "",
    isWhole && left !== null && state === "running" ? `${duration(left)} left` : "",
    !isWhole && seconds !== null ? `${duration(seconds)} processed` : "",
  ];
  return parts.filter((part) => part !== "").join(` ${symbols(style).dot} `);
}

function ofQuotaText({ job }: ScreenJob): string {
  const quota = quotaCoresOf(job);
  return quota === null ? " cores, no quota" : ` of ${coresText(quota, "")} cores`;
}

function throttledLine({ use, job }: ScreenJob): string {
  if (quotaCoresOf(job) === null || use.throttled_percent === null) return "";
  return `throttled in ${use.throttled_percent.toFixed(0)} % of its periods`;
}

function chartLines(
  { atBootMs }: ScreenData,
  { track }: ScreenJob,
  name: TrackName,
  limit: number | null,
  { columns, rows, style }: { columns: number; rows: number; style: Style },
): string[] {
  const isBounded = Number.isFinite(columns);
  const width = Math.max(8, (isBounded ? columns : 80) - SCALE);
  const values = track.samples(name, atBootMs, TRACK_MS, width * valuesPerCell(style));
  const most = Math.max(0, ...values.map((value) => value ?? 0));
  const max =
    limit !== null && most <= limit * 1.05
      ? Math.max(limit, most)
      : roundedUp(Math.max(most, limit ?? 0, 0.1));
  const cells = chart(style, values, { width, height: rows, max, limit, limitMark: symbols(style).limit });
  return cells.map((row, index) => {
    const label = index === 0 ? scaleText(max) : index === rows - 1 ? "0" : "";
    return lineOf(style, columns, [`${label.padStart(SCALE - 1)} `, ...colored(row)]);
  });
}

function scaleText(max: number): string {
  return max < 9.95 ? max.toFixed(max < 1 ? 2 : 1) : max.toFixed(0);
}

/** Joins characters of one kind, each of which would need its own color. */
function colored(row: readonly ChartCell[]): Span[] {
  const colors = { values: "cyan", limit: "dim", nothing: undefined } as const;
  const spans: [string, (typeof colors)[ChartCell["of"]]][] = [];
  for (const { text, of } of row) {
    const last = spans.at(-1);
    if (last !== undefined && last[1] === colors[of]) last[0] += text;
    else spans.push([text, colors[of]]);
  }
  return spans;
}

function waitsText(use: JobUseJson, style: Style): string {
  const waits = [
    ["CPU", use.cpu_pressure_percent],
    ["memory", use.memory_pressure_percent],
    ["IO", use.io_pressure_percent],
  ] as const;
  if (waits.every(([, percent]) => percent === null)) {
    const { cpu_wait_percent: percent } = use;
    return percent === null
      ? "unknown"
      : `its threads wait for a CPU ${percent.toFixed(0)} % of the time, added up`;
  }
  const { none } = symbols(style);
  const texts = waits.map(([name, percent]) => `${name} ${percent === null ? none : shareText(percent)}`);
  return `${texts.join("   ")}   of the time`;
}

/** Returns what the job gets when everything is busy, and what it needs. No line where neither is known. */
function sureLines(use: JobUseJson): string[] {
  const { sure_cores: sure, need_cores: need, need_sample_seconds: seconds } = use;
  const texts = [
    ...(sure === null ? [] : [`of ${sure.toFixed(2)} cores when everything is busy`]),
    ...(need === null ? [] : [`needs ${needText(need, seconds, use.need_while_keeping_up)}`]),
  ];
  return texts.length === 0 ? [] : [texts.join("   ")];
}

function memoryLine({ use, job }: ScreenJob, style: Style): string {
  const limit = memoryLimitOf(job);
  const source = use.memory_source === "rss" ? " resident in its processes" : "";
  const parts = [
    `${memoryText(use.memory_bytes)}${limit === null ? "" : ` of ${memoryText(limit)}`}${source}`,
    use.memory_peak_bytes === null ? "" : `peak ${memoryText(use.memory_peak_bytes)}`,
    use.memory_anonymous_bytes === null ? "" : `anonymous ${memoryText(use.memory_anonymous_bytes)}`,
    use.memory_file_bytes === null ? "" : `page cache ${memoryText(use.memory_file_bytes)}`,
    use.oom_kills ? `${use.oom_kills} OOM kills` : "",
  ];
  return parts.filter((part) => part !== "").join(` ${symbols(style).dot} `);
}

function networkLines(row: ScreenJob, atBootMs: number, style: Style): string[] {
  const { network } = row.use;
  const { sent, received, dot, none } = symbols(style);
  if (network === null) return ["unknown: its connections are not visible to this user"];
  const join = (parts: string[]) => parts.filter((part) => part !== "").join(` ${dot} `);
  const devices =
    network.device_sent_bytes === null
      ? []
      : [
          `all protocols: ${sent} ${bitRateText(network.device_sent_bytes_per_second, none)}   ${received} ${bitRateText(network.device_received_bytes_per_second, none)}`,
        ];
  if (network.tcp_connections === 0) return ["no TCP connection", ...devices];
  const { tcp_sent_bytes: sentBytes, tcp_received_bytes: receivedBytes } = network;
  const resent = network.tcp_retransmitted_bytes;
  const limited = network.receiver_limited_percent;
  const waiting = [
    `${network.tcp_connections} TCP ${network.tcp_connections === 1 ? "connection" : "connections"}`,
    backlogText(network),
    limited === null || limited < 0.5 ? "" : `its receiver slows it ${limited.toFixed(0)} % of the time`,
  ];
  const outgoing = [
    `${sent} ${bitRateText(sentBytesPerSecondOf(row, atBootMs), none)}`,
    sentBytes === null ? "" : `${sizeText(sentBytes)} sent`,
    resent === null || !sentBytes ? "" : `${((100 * resent) / sentBytes).toFixed(2)} % sent again`,
  ];
  const incoming = [
    `${received} ${bitRateText(network.tcp_received_bytes_per_second, none)}`,
    receivedBytes === null ? "" : `${sizeText(receivedBytes)} received`,
    network.receive_backlog_bytes === 0 ? "" : `${sizeText(network.receive_backlog_bytes)} not read yet`,
  ];
  return [join(waiting), join(outgoing), ...(receivedBytes === 0 ? [] : [join(incoming)]), ...devices];
}

function backlogText(network: NonNullable<JobUseJson["network"]>): string {
  const { send_backlog_bytes: bytes, send_backlog_seconds: seconds } = network;
  if (bytes === 0) return "nothing waits to be sent";
  const time = seconds === null ? "" : ` (${seconds.toFixed(1)} s)`;
  return `${sizeText(bytes)}${time} wait to be sent`;
}

/** Returns `1.7 MB`: what a network carries is counted in thousands. */
function sizeText(bytes: number): string {
  return rateText(bytes).replace(/\/s$/, "");
}

function ioText(use: JobUseJson, none: string): string {
  const amount = (perSecond: number | null) => (perSecond === null ? none : rateText(perSecond));
  const operations = (perSecond: number | null) =>
    perSecond ? ` in ${perSecond.toFixed(0)} operations` : "";
  const parts = [
    `read ${amount(use.io_read_bytes_per_second)}${operations(use.io_read_operations_per_second)}`,
    `written ${amount(use.io_write_bytes_per_second)}${operations(use.io_write_operations_per_second)}`,
    use.major_faults_per_second ? `${use.major_faults_per_second.toFixed(0)} major faults/s` : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function processesText({ process_count: processes, task_count: tasks }: JobUseJson, none: string): string {
  return `${processes ?? none}${tasks === null ? "" : `, threads ${tasks}`}`;
}

function gpuText(gpu: NonNullable<JobUseJson["gpu"]>, style: Style): string {
  const { dot, none } = symbols(style);
  const share = (percent: number | null) => (percent === null ? none : shareText(percent));
  const parts = [
    `compute ${share(gpu.sm_percent)}`,
    `encoder ${share(gpu.encoder_percent)}`,
    `decoder ${share(gpu.decoder_percent)}`,
    `memory ${gpu.memory_bytes === null ? none : memoryText(gpu.memory_bytes)}`,
    gpu.encoder_sessions === 0 ? "" : `${gpu.encoder_sessions} encoder sessions`,
  ];
  return parts.filter((part) => part !== "").join(` ${dot} `);
}

function limitLines({ job }: ScreenJob, field: (name: string, ...spans: Span[]) => string): string[] {
  if (job.outcomes.length === 0) return [field("LIMITS", "none")];
  const isApplied = job.outcomes.every(({ outcome }) => outcome === "applied");
  const reasons = job.outcomes.filter(
    (outcome) => outcome.because !== undefined && outcome.outcome !== "applied",
  );
  return [
    field("LIMITS", `${limitsText(job.outcomes)}${isApplied ? ", all applied" : ""}`),
    ...reasons.map((outcome) =>
      field("", [
        `${outcome.limit} ${outcome.outcome}: ${outcome.because}`,
        isInForce(outcome) ? undefined : ("yellow" as const),
      ]),
    ),
  ];
}
