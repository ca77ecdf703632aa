import { shortBytes } from "./amounts.ts";
import { lineOf, type Span, spread, widthOf } from "./cells.ts";
import { bar } from "./charts.ts";
import { hostLines } from "./hostLines.ts";
import { percentText } from "./jobTexts.ts";
import { rowId, type ScreenData, type ScreenJob } from "./screenData.ts";
import type { ScreenState } from "./state.ts";
import { type Style, symbols } from "./style.ts";

const BAR_WIDTH = 20;
/** A name of a machine can be long. */
const MAX_HOSTNAME = 24;

/** Returns the lines above the list: what runs here and on what, and the use of the machine and its GPUs. */
export function renderHeader(
  data: ScreenData,
  state: ScreenState,
  { columns, rows }: { columns: number; rows: number },
  style: Style,
): string[] {
  const machines =
    data.hosts === null
      ? machineLines(data, columns, style)
      : hostLines(data.hosts, { columns, maxLines: Math.floor(rows / 3), style });
  return [titleLine(data, state, columns, style), ...machines];
}

/** Returns the title of the view of one job, in place of that of the machine. */
export function jobTitle(
  data: ScreenData,
  row: ScreenJob,
  state: ScreenState,
  columns: number,
  style: Style,
): string {
  const { into, dot } = symbols(style);
  const { job } = row;
  const place = state.view === "job" ? "" : ` ${into} ${state.view}`;
  const about = [
    ...(job.process === null ? [] : [`pid ${job.process.pid}`]),
    job.mode,
    ...(job.tenant === null ? [] : [`tenant ${job.tenant}`]),
    timeText(data, state, style),
  ];
  return spread(
    style,
    columns,
    [`ffrtmp top ${into} `, [rowId(row), "bold"], place],
    [about.join(` ${dot} `)],
  );
}

function titleLine(data: ScreenData, state: ScreenState, columns: number, style: Style): string {
  const { dot } = symbols(style);
  const hindered = data.jobs.filter(({ hindrance }) => hindrance !== null).length;
  const counts: Span[] = [
    [`${data.jobs.length} ${data.jobs.length === 1 ? "job" : "jobs"}`, "bold"],
    ...(hindered === 0 ? [] : ([` ${dot} `, [`${hindered} hindered`, "yellow"]] satisfies Span[])),
  ];
  const sla: Span[] = data.slaPercent === null ? [] : [` ${dot} SLA 24h ${slaText(data.slaPercent)}`];
  const name = `ffrtmp top ${dot} ${data.hostname.slice(0, MAX_HOSTNAME)}`;
  const time: Span[] = [timeText(data, state, style)];
  // The parts that can be left out, the least important first.
  const choices: Span[][] = [
    [name, "    ", ...counts, ...sla],
    [name, "  ", ...counts, ...sla],
    ["ffrtmp top  ", ...counts, ...sla],
    ["ffrtmp top  ", ...counts],
  ];
  const fitting = choices.find((left) => widthOf(left) + widthOf(time) + 2 <= columns) ?? counts;
  return spread(style, columns, fitting, time);
}

/** 100 % is shown only where no job violated. */
function slaText(percent: number): string {
  return `${(Math.floor(10 * percent) / 10).toFixed(percent === 100 ? 0 : 1)} %`;
}

function timeText({ atMs, intervalMs, source }: ScreenData, { isPaused }: ScreenState, style: Style): string {
  const { dot } = symbols(style);
  const time = new Date(atMs).toTimeString().slice(0, 8);
  if (isPaused) return `paused at ${time}`;
  const interval = `${Number((intervalMs / 1000).toFixed(1))} s`;
  return [...(source === "daemon" ? ["watch"] : []), interval, time].join(` ${dot} `);
}

function machineLines(data: ScreenData, columns: number, style: Style): string[] {
  const { dot, none } = symbols(style);
  const { machine, busyPercent, devices } = data;
  const waiting = (percent: number | null) =>
    percent === null ? "" : ` ${dot} waiting ${percent.toFixed(0).padStart(2)} %`;
  const [used, total] = [machine.memoryUsedBytes, machine.memoryTotalBytes].map((bytes) =>
    shortBytes(bytes, none),
  );
  const busy = busyPercent === null ? none : `${busyPercent.toFixed(0)} %`;
  const cpu = `${busy.padStart(5)} of ${machine.cpuCount}${waiting(machine.cpuWaitPercent)}`;
  const memory: Span[] = [["MEM", "bold"], ` ${used}/${total}${waiting(machine.memoryWaitPercent)}`];
  const meter: Span[] = [[bar(style, (busyPercent ?? 0) / 100, BAR_WIDTH), "cyan"]];
  const left: Span[] = [["CPU", "bold"], " ", ...meter, " ", cpu];
  const short: Span[] = [["CPU", "bold"], ` ${cpu.trimStart()}  `, ...memory];
  const shortest: Span[] = [
    ["CPU", "bold"],
    ` ${busy} of ${machine.cpuCount}  `,
    ["MEM", "bold"],
    ` ${used}/${total}`,
  ];
  const isNarrow = widthOf(left) + widthOf(memory) + 2 > columns;
  const gpus: Span[] = devices.flatMap((device, index): Span[] => [
    `${index === 0 ? "" : "   "}`,
    [`GPU${devices.length === 1 ? "" : device.index}`, "bold"],
    ` ${percentText(device.sm_percent, style)} ${dot} enc ${percentText(device.encoder_percent, style)} ${dot} dec ${percentText(device.decoder_percent, style)} ${dot} mem ${shortBytes(device.memory_bytes, none)}/${shortBytes(device.memory_total_bytes, none)}`,
  ]);
  return [
    isNarrow
      ? lineOf(style, columns, widthOf(short) > columns ? shortest : short)
      : spread(style, columns, left, memory),
    ...(gpus.length === 0 ? [] : [lineOf(style, columns, gpus)]),
  ];
}
