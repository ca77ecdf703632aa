import type { JobShares } from "../../metrics/shares/jobShares.ts";
import type { Need } from "../../metrics/shares/need.ts";
import { needText } from "../../metrics/shares/needText.ts";
import { coresText } from "./amounts.ts";
import type { Column } from "./table.ts";

interface Row {
  shares?: JobShares | null;
}

/** Returns the column of the cores that a job gets when everything is busy. `yields`: see `Column`. */
export function sureColumn(yields: number): Column<Row> {
  return { heading: "SURE", right: true, yields, text: ({ shares }) => coresText(shares?.sureCores ?? null) };
}

/** Returns the column of the cores that a job needs to keep up with real time. */
export function needColumn(yields: number): Column<Row> {
  return { heading: "NEED", right: true, yields, text: ({ shares }) => textOf(shares?.need ?? null) };
}

function textOf(need: Need | null): string {
  return need === null ? "-" : needText(need.cores, need.sampleSeconds, need.isWhileKeepingUp);
}
