import { exportedMetrics, metricsIn } from "./exportedMetrics.ts";
import { type Panel, ROWS } from "./panels.ts";

const COLUMNS = 24;
const STAT_HEIGHT = 4;
const HEIGHT = 8;
/** Units with a name of their own are written after the number. */
const UNITS: Partial<Record<Panel["unit"], string>> = { cores: "suffix: cores", speed: "suffix:×" };

const DATA_SOURCE = { type: "prometheus", uid: "$datasource" };

const exported = exportedMetrics();
/** A panel is in the dashboard when each of its metrics is exported. */
const isExported = ({ queries }: Panel): boolean =>
  queries.every(({ expr }) => metricsIn(expr).every((name) => exported.has(name)));

/** The panels whose metrics are not exported. */
export const LEFT_OUT: readonly string[] = ROWS.flatMap(({ panels }) => panels)
  .filter((panel) => !isExported(panel))
  .map(({ title }) => title);

/** Returns the dashboard in Grafana's JSON model, of version 10 and later. */
export function makeDashboard(): object {
  return {
    uid: "ffrtmp",
    title: "ffrtmp",
    description: "Media jobs that ffrtmp governs: watch --listen",
    tags: ["ffrtmp"],
    schemaVersion: 39,
    editable: true,
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    templating: { list: [dataSource(), variable("instance", INSTANCES), variable("job_id", JOBS)] },
    panels: layOut(),
  };
}

const INSTANCES = "label_values(ffrtmp_build_info, instance)";
const JOBS = 'label_values(ffrtmp_job_info{instance=~"$instance"}, job_id)';

function dataSource(): object {
  return { name: "datasource", label: "Data source", type: "datasource", query: "prometheus" };
}

function variable(name: string, query: string): object {
  return {
    ...{ name, type: "query", datasource: DATA_SOURCE, query: { query, refId: name }, definition: query },
    ...{ includeAll: true, allValue: ".*", multi: true, refresh: 2, sort: 1 },
    current: { text: "All", value: "$__all" },
  };
}

/** Each row has a heading, and its panels side by side in equal widths. */
function layOut(): object[] {
  const laidOut: object[] = [];
  let y = 0;
  for (const { title, panels } of ROWS) {
    const shown = panels.filter(isExported);
    if (shown.length === 0) continue;
    laidOut.push({
      ...{ type: "row", title, collapsed: false, panels: [] },
      ...{ id: laidOut.length + 1, gridPos: { x: 0, y, w: COLUMNS, h: 1 } },
    });
    y++;
    const h = shown[0]?.kind === "stat" ? STAT_HEIGHT : HEIGHT;
    const edge = (column: number) => Math.round((COLUMNS * column) / shown.length);
    for (const [column, panel] of shown.entries()) {
      const gridPos = { x: edge(column), y, w: edge(column + 1) - edge(column), h };
      laidOut.push({ id: laidOut.length + 1, gridPos, ...describe(panel) });
    }
    y += h;
  }
  return laidOut;
}

function describe(panel: Panel): object {
  const { title, description, kind, unit, queries } = panel;
  return {
    ...{ title, type: kind, datasource: DATA_SOURCE },
    ...(description === undefined ? {} : { description }),
    targets: queries.map(({ expr, legend }, index) => ({
      ...{ refId: String.fromCharCode(65 + index), datasource: DATA_SOURCE },
      ...{ expr, legendFormat: legend, instant: kind === "stat", range: kind !== "stat" },
    })),
    fieldConfig: {
      defaults: { unit: UNITS[unit] ?? unit, min: 0, ...coloursOf(panel), custom: drawingOf(panel) },
      overrides: [],
    },
    options:
      kind === "stat"
        ? { reduceOptions: { calcs: ["lastNotNull"] }, colorMode: "value", graphMode: "none" }
        : { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } },
  };
}

function drawingOf({ kind, isStacked, threshold }: Panel): object {
  if (kind === "stat") return {};
  return {
    ...{ drawStyle: "line", lineWidth: 1, fillOpacity: isStacked ? 30 : 0, showPoints: "never" },
    stacking: { mode: isStacked ? "normal" : "none" },
    ...(threshold === undefined ? {} : { thresholdsStyle: { mode: "line" } }),
  };
}

function coloursOf({ threshold, isLowBad = false }: Panel): object {
  if (threshold === undefined) return {};
  const [below, above] = isLowBad ? ["red", "green"] : ["green", "red"];
  const steps = [
    { color: below, value: null },
    { color: above, value: threshold },
  ];
  return { thresholds: { mode: "absolute", steps } };
}
