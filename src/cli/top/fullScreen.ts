import { readTerminalSize } from "../../sys/terminal.ts";
import { writeOut } from "../output/messages.ts";
import type { Size } from "./screen.ts";

/** The alternate screen, without wrapping and cursor: xterm's control sequences, DECSET 1049, 7 and 25. */
const ENTER = "\u001b[?1049h\u001b[?7l\u001b[?25l\u001b[2J";
const LEAVE = "\u001b[?25h\u001b[?7h\u001b[?1049l";
const HOME = "\u001b[H";
const ERASE_TO_END_OF_LINE = "\u001b[K";
const ERASE_BELOW = "\u001b[J";

/** The size where a terminal does not tell it. */
const DEFAULT_SIZE: Size = { columns: 80, rows: 24 };

/** Takes the whole terminal, and gives it back as it was. */
export class FullScreen {
  readonly #onInput: (text: string) => void;
  readonly #hasInput: boolean;

  /** `onInput` gets what the user types, if stdin is a terminal. */
  constructor(onInput: (text: string) => void) {
    this.#onInput = onInput;
    this.#hasInput = process.stdin.isTTY === true;
    writeOut(ENTER);
    if (!this.#hasInput) return;
    process.stdin.setRawMode(true);
    process.stdin.setEncoding("utf8");
    process.stdin.on("data", this.#onInput);
    process.stdin.resume();
  }

  size(): Size {
    const size = readTerminalSize(1);
    return typeof size === "object" ? size : DEFAULT_SIZE;
  }

  /** Returns false when the terminal is gone. */
  show(lines: readonly string[]): boolean {
    // Erased before it is written: after its last column, the cursor still stands on that.
    const text = lines.map((line) => `${ERASE_TO_END_OF_LINE}${line}`).join("\r\n");
    return writeOut(`${HOME}${text}${ERASE_BELOW}`);
  }

  leave(): void {
    if (this.#hasInput) {
      process.stdin.off("data", this.#onInput);
      process.stdin.setRawMode(false);
      process.stdin.pause();
    }
    writeOut(LEAVE);
  }
}
