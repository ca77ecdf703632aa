import { readTerminalSize } from "../../sys/terminal.ts";
import { writeOut } from "./messages.ts";
import { cutToWidth } from "./table.ts";

/** Moves the cursor to the start of the line that is this many lines up, and erases everything below: ECMA-48 CUU, ED. */
const upAndErase = (lines: number): string => (lines === 0 ? "\r\u001b[J" : `\r\u001b[${lines}A\u001b[J`);
const HOME_AND_ERASE = "\u001b[H\u001b[2J";

/**
 * Lines on a terminal that replace the ones before. It changes no mode of the terminal and hides nothing, so whatever ends
 * this process leaves a usable terminal, with the last lines on it.
 */
export class LiveView {
  #shown = 0;
  #columns: number | undefined;

  /** Shows these lines, as many of `lines` as fit above `footer`. Returns false when the terminal is gone. */
  show(lines: readonly string[], footer: readonly string[]): boolean {
    const size = readTerminalSize(1);
    const { columns, rows } = typeof size === "object" ? size : { columns: undefined, rows: 0 };
    const fitting = rows === 0 ? [...lines, ...footer] : fit(lines, footer, rows - 1);
    const cut = fitting.map((line) => (columns === undefined ? line : cutToWidth(line, columns)));
    // The terminal has wrapped or joined the lines that were there.
    const isResized = this.#shown > 0 && columns !== this.#columns;
    const start = isResized ? HOME_AND_ERASE : upAndErase(this.#shown);
    this.#shown = cut.length;
    this.#columns = columns;
    return writeOut(`${start}${cut.map((line) => `${line}\n`).join("")}`);
  }
}

/** Leaves lines out of the first part, and says how many. */
function fit(lines: readonly string[], footer: readonly string[], maxLines: number): string[] {
  if (lines.length + footer.length <= maxLines) return [...lines, ...footer];
  const kept = Math.max(1, maxLines - footer.length - 1);
  const left = lines.length - kept;
  return [...lines.slice(0, kept), `… and ${left} more`, ...footer].slice(0, Math.max(1, maxLines));
}
