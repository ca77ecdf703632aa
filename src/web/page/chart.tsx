import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clockText, short, UNKNOWN } from "./format.ts";
import { Shared, useShared } from "./shared.ts";

export interface Line {
  readonly name: string;
  /** The name of a custom property of page.css. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
  /** The area below is filled. */
  readonly isArea?: boolean;
  /** Of a value of this line, where it has another unit than the chart. */
  readonly format?: (value: number) => string;
}

/** A constant to compare with, such as a limit. */
export interface Mark {
  readonly name: string;
  readonly value: number;
}

interface ChartProps {
  readonly title: string;
  /** Seconds since the epoch, of each value. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly mark: Mark | null;
  readonly format: (value: number) => string;
  /** The unit is a power of two, such as that of memory. */
  readonly isBinary?: boolean;
  /** The top of the chart where all values are less, so that noise does not fill it. */
  readonly least: number;
}

const HEIGHT = 150;
const MIN_SPAN_S = 60;
const DAY_S = 86_400;

/** Changes when the browser switches between light and dark, which a canvas does not notice. */
const scheme = new Shared(0);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  scheme.value++;
});

/** A chart over time, and the same figures as a table for who cannot see it. */
export function Chart(props: ChartProps) {
  const { title, times, lines, mark, format } = props;
  const last = (values: Line["values"]) => values.findLast((value) => value !== null) ?? null;
  const legend = [
    ...lines.map(({ name, colour, values, format: own = format }) => ({
      name,
      colour,
      text: textOf(last(values), own),
    })),
    ...(mark ? [{ name: mark.name, colour: "--limit", text: format(mark.value) }] : []),
  ];
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        {legend.map(({ name, colour, text }) => (
          <span key={name} class="legend">
            <i class={colour === "--limit" ? "dash" : ""} style={{ color: `var(${colour})` }} />
            {name} <b>{text}</b>
          </span>
        ))}
      </figcaption>
      {times.length > 1 ? <Plot {...props} /> : <p class="empty">No figures yet.</p>}
      {times.length > 1 && <FigureTable {...props} />}
    </figure>
  );
}

function textOf(value: number | null, format: (value: number) => string): string {
  return value === null ? UNKNOWN : format(value);
}

function Plot({ times, lines, mark, format, isBinary = false, least }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const version = useShared(scheme);
  const shape = `${version} ${lines.map(({ name }) => name)} ${mark?.name}`;

  useEffect(() => {
    const element = place.current as HTMLDivElement;
    const own = new uPlot(optionsOf(element, { lines, mark, format, isBinary, least }), [[], []], element);
    plot.current = own;
    const observer = new ResizeObserver(() => own.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      own.destroy();
    };
  }, [shape]);

  useEffect(() => {
    const level = mark ? [times.map(() => mark.value)] : [];
    plot.current?.setData([times as number[], ...lines.map(({ values }) => values as number[]), ...level]);
  });
  return <div class="plot" ref={place} aria-hidden="true" />;
}

function optionsOf(
  element: HTMLElement,
  { lines, mark, format, isBinary, least }: Omit<ChartProps, "title" | "times">,
): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: `11px ${style.fontFamily}`,
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { points: { show: false }, y: false, drag: { x: false, y: false } },
    scales: {
      x: { range: (_, min, max) => [Math.min(min, max - MIN_SPAN_S), max] },
      y: { range: (_, __, max) => [0, Math.max(max, mark?.value ?? 0, least) * 1.08] },
    },
    axes: [
      { ...axis, space: 80, size: 24, values: (_, splits) => timeLabels(splits) },
      {
        ...axis,
        size: 68,
        space: 34,
        values: (_, splits) => splits.map((split) => short(format(split))),
        ...(isBinary ? { incrs: POWERS_OF_TWO } : {}),
      },
    ],
    series: [
      {},
      ...lines.map(({ colour: name, isArea }) => ({
        stroke: colour(name),
        width: 1.5,
        points: { show: false },
        ...(isArea ? { fill: `${colour(name)}2e` } : {}),
      })),
      ...(mark ? [{ stroke: colour("--limit"), width: 1.5, dash: [6, 4], points: { show: false } }] : []),
    ],
  };
}

const POWERS_OF_TWO = Array.from({ length: 50 }, (_, exponent) => 2 ** exponent);

/** Seconds only where labels are closer than a minute, and the day where they are apart by days. */
function timeLabels(splits: readonly number[]): string[] {
  const step = (splits[1] ?? 0) - (splits[0] ?? 0);
  return splits.map((split) => {
    const at = new Date(split * 1000);
    return step >= DAY_S ? `${at.getDate()}.${at.getMonth() + 1}.` : clockText(at, step < 60);
  });
}

const TABLE_ROWS = 12;

function FigureTable({ title, times, lines, format }: ChartProps) {
  const step = Math.max(1, Math.ceil(times.length / TABLE_ROWS));
  const rows = times.flatMap((time, index) =>
    (times.length - 1 - index) % step === 0 ? [{ time, index }] : [],
  );
  return (
    <details>
      <summary>Figures</summary>
      <table class="figures" aria-label={title}>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {lines.map(({ name }) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ time, index }) => (
            <tr key={time}>
              <th scope="row">{clockText(new Date(time * 1000))}</th>
              {lines.map(({ name, values, format: own = format }) => (
                <td key={name} class="number">
                  {textOf(values[index] ?? null, own)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
