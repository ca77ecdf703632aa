/** A number with its labels. `name` follows the name of the family: `_bucket`, `_sum` and `_count` of a histogram. */
export interface MetricSample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
  readonly suffix?: "_bucket" | "_sum" | "_count";
}

/** Samples of one kind. The name of a counter has no `_total`, which the formats add. */
export interface MetricFamily {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly samples: readonly MetricSample[];
}

export interface ExpositionFormat {
  readonly contentType: string;
  readonly isOpenMetrics: boolean;
}

/** https://prometheus.io/docs/instrumenting/exposition_formats */
const PROMETHEUS: ExpositionFormat = {
  contentType: "text/plain; version=0.0.4; charset=utf-8",
  isOpenMetrics: false,
};
/** https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md */
const OPEN_METRICS: ExpositionFormat = {
  contentType: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  isOpenMetrics: true,
};

/** Returns the format that the Accept header of a request prefers. OpenMetrics only where it is asked for. */
export function formatFor(accept: string | null): ExpositionFormat {
  const qualities = (accept ?? "").split(",").map((each) => {
    const [type = "", ...parameters] = each.split(";").map((part) => part.trim().toLowerCase());
    const quality = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
    return { type, quality: quality === undefined ? 1 : Number(quality) || 0 };
  });
  const best = (...types: string[]) =>
    Math.max(0, ...qualities.filter(({ type }) => types.includes(type)).map(({ quality }) => quality));
  const wanted = best("application/openmetrics-text");
  return wanted > 0 && wanted >= best("text/plain") ? OPEN_METRICS : PROMETHEUS;
}

/** Returns the text of a scrape. A family without samples is left out: unknown is absent. */
export function renderMetrics(
  families: readonly MetricFamily[],
  { isOpenMetrics }: ExpositionFormat,
): string {
  const parts: string[] = [];
  for (const { name, type, help, samples } of families) {
    if (samples.length === 0) continue;
    const sampleName = type === "counter" ? `${name}_total` : name;
    const familyName = isOpenMetrics ? name : sampleName;
    parts.push(`# HELP ${familyName} ${escapeHelp(help)}\n# TYPE ${familyName} ${type}\n`);
    for (const { labels, value, suffix = "" } of samples)
      parts.push(`${sampleName}${suffix}${labelsText(labels)} ${numberText(value)}\n`);
  }
  if (isOpenMetrics) parts.push("# EOF\n");
  return parts.join("");
}

function labelsText(labels: MetricSample["labels"]): string {
  if (labels === undefined) return "";
  let text = "";
  for (const name in labels) {
    if (text !== "") text += ",";
    text += `${name}="${escapeLabel(labels[name] as string)}"`;
  }
  return text === "" ? "" : `{${text}}`;
}

/** Most values have nothing to escape. */
function escapeLabel(value: string): string {
  return /[\\"\n]/.test(value) ? escapeHelp(value).replaceAll('"', '\\"') : value;
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
