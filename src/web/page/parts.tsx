import type { ComponentChildren } from "preact";

/** Small parts that several views have. */

/** A bar that shows a part of a whole, 0 to 1. The text beside it says the same. */
export function Meter({ part, isFull = false }: { part: number; isFull?: boolean }) {
  const percent = Math.round(1000 * Math.min(1, Math.max(0, part))) / 10;
  return (
    <span class={isFull ? "meter full" : "meter"} aria-hidden="true">
      <span style={{ width: `${percent}%` }} />
    </span>
  );
}

/** A line over the last 2 minutes, scaled to `max`. A value that is not known leaves a gap. */
export function Sparkline({ values, max }: { values: readonly (number | null)[]; max: number }) {
  const step = WIDTH / Math.max(1, values.length - 1);
  let path = "";
  let isDown = false;
  values.forEach((value, index) => {
    if (value !== null)
      path += `${isDown ? "L" : "M"}${Math.round(index * step)} ${Math.round(HEIGHT - (HEIGHT * value) / max)}`;
    isDown = value !== null;
  });
  return (
    <svg
      class="spark"
      viewBox={`-1 -1 ${WIDTH + 2} ${HEIGHT + 2}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <path d={path} />
    </svg>
  );
}
const WIDTH = 92;
const HEIGHT = 20;

/** A column of a table; `isNumber` aligns it to the right. */
export interface Column {
  readonly name: string;
  readonly isNumber?: boolean;
}

/** A table whose cells become lines with the name of their column where the screen is narrow. */
export function DataTable({
  label,
  columns,
  rows,
}: {
  label: string;
  columns: readonly Column[];
  rows: readonly { key: string; cells: readonly ComponentChildren[] }[];
}) {
  return (
    <table class="data" aria-label={label}>
      <thead>
        <tr>
          {columns.map(({ name, isNumber }) => (
            <th key={name} scope="col" class={isNumber ? "number" : ""}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ key, cells }) => (
          <tr key={key}>
            {cells.map((cell, index) => (
              <td
                key={columns[index]?.name}
                class={columns[index]?.isNumber ? "number" : ""}
                data-label={columns[index]?.name}
              >
                {cell}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}
