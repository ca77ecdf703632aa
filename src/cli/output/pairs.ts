import { oneLine } from "./table.ts";

export type Pair = [label: string, text: string];

/** Renders one line for each pair, with the texts aligned. */
export function renderPairs(pairs: Pair[]): string {
  const width = Math.max(...pairs.map(([label]) => label.length));
  return pairs.map(([label, text]) => `${label.padEnd(width)}  ${oneLine(text)}`).join("\n");
}
