import { readTerminalSize } from "../../sys/terminal.ts";
import type { Size } from "./screen.ts";
import { TerminalOutput } from "./terminalOutput.ts";

/** The alternate screen, without wrapping and cursor: xterm's control sequences, DECSET 1049, 7 and 25. */
const ENTER = "\u001b[?1049h\u001b[?7l\u001b[?25l\u001b[2J";
const LEAVE = "\u001b[0m\u001b[?25h\u001b[?7h\u001b[?1049l";
/** Terminals that know DECSET 2026 show everything in between at once; others ignore it. */
const BEGIN_UPDATE = "\u001b[?2026h";
const END_UPDATE = "\u001b[?2026l";
const ERASE_TO_END_OF_LINE = "\u001b[K";
const ERASE_BELOW = "\u001b[J";
const toLine = (row: number): string => `\u001b[${row + 1};1H`;

/** The size where a terminal does not tell it. */
const DEFAULT_SIZE: Size = { columns: 80, rows: 24 };
/** The start of a key's sequence that ends here can be Escape itself, or wait for its rest. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals send them
const UNFINISHED = /\u001b(?:\[[0-9;?]*|O)?$/;
const REST_TIMEOUT_MS = 40;

/** Takes the whole terminal, and gives it back as it was. */
export class FullScreen {
  readonly #onInput: (text: string) => void;
  readonly #output = new TerminalOutput();
  readonly #hasInput: boolean;
  /** The lines that the terminal shows. */
  #shown: readonly string[] = [];
  #shownSize: Size | undefined;
  #isEntered = false;
  #isBehind = false;
  #unfinished = "";
  #restTimer: ReturnType<typeof setTimeout> | undefined;

  /** `onInput` gets what the user types, if stdin is a terminal. */
  constructor(onInput: (text: string) => void) {
    this.#onInput = onInput;
    this.#hasInput = process.stdin.isTTY === true;
    if (this.#hasInput) process.stdin.setEncoding("utf8");
    this.enter();
  }

  size(): Size {
    const size = readTerminalSize(1);
    return typeof size === "object" ? size : DEFAULT_SIZE;
  }

  enter(): void {
    if (this.#isEntered) return;
    this.#isEntered = true;
    this.#output.write(ENTER);
    this.redraw();
    if (!this.#hasInput) return;
    process.stdin.setRawMode(true);
    process.stdin.on("data", this.#receive);
    process.stdin.resume();
  }

  /** Makes the next screen complete: the terminal may not show what was written. */
  redraw(): void {
    this.#shownSize = undefined;
  }

  /** The terminal has not read all that was to be shown. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Shows these lines. Writes those that have changed. Returns false when the terminal is gone. */
  show(lines: readonly string[], size: Size): boolean {
    if (!this.#isEntered) return true;
    // A terminal that has not read the last screen gets the newest one once it reads again.
    const room = this.#output.flush();
    this.#isBehind = room !== "written";
    if (this.#isBehind) return room === "full";
    const isSame = this.#shownSize?.columns === size.columns && this.#shownSize.rows === size.rows;
    const changed = lines.flatMap((line, row) => {
      if (isSame && this.#shown[row] === line) return [];
      // A full line has no end to erase: the cursor would stand on its last character.
      const isFull = Bun.stringWidth(line) >= size.columns;
      return [`${toLine(row)}${line}${isFull ? "" : ERASE_TO_END_OF_LINE}`];
    });
    const below =
      lines.length < size.rows && (!isSame || lines.length < this.#shown.length)
        ? `${toLine(lines.length)}${ERASE_BELOW}`
        : "";
    this.#shown = lines;
    this.#shownSize = size;
    if (changed.length === 0 && below === "") return true;
    const written = this.#output.write(`${BEGIN_UPDATE}${changed.join("")}${below}${END_UPDATE}`);
    this.#isBehind = written === "full";
    return written !== "gone";
  }

  leave(): void {
    if (!this.#isEntered) return;
    this.#isEntered = false;
    clearTimeout(this.#restTimer);
    if (this.#hasInput) {
      process.stdin.off("data", this.#receive);
      process.stdin.setRawMode(false);
      process.stdin.pause();
    }
    this.#output.writeLast(LEAVE);
  }

  #receive = (text: string): void => {
    clearTimeout(this.#restTimer);
    const all = this.#unfinished + text;
    const rest = UNFINISHED.exec(all)?.[0] ?? "";
    this.#unfinished = rest;
    if (rest.length < all.length) this.#onInput(all.slice(0, all.length - rest.length));
    if (rest === "") return;
    this.#restTimer = setTimeout(() => {
      this.#unfinished = "";
      this.#onInput(rest);
    }, REST_TIMEOUT_MS);
  };
}
