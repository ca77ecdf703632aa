import { type Sandbox, until } from "./sandbox.ts";
import { TerminalScreen } from "./terminalScreen.ts";

export const TERMINAL_SIZE = { columns: 90, rows: 20 };
export const TERMINAL_ENVIRONMENT = { LC_ALL: "C.UTF-8", TERM: "xterm-256color", NO_COLOR: "" };

/** A command on a terminal, with what the terminal shows. */
export class OnTerminal {
  readonly screen = new TerminalScreen(TERMINAL_SIZE);
  readonly process: Bun.Subprocess;
  readonly #terminal: Bun.Terminal;

  constructor(sandbox: Sandbox, command: string[], environment: Record<string, string> = {}) {
    const decoder = new TextDecoder();
    this.process = Bun.spawn(command, {
      env: { ...sandbox.environment, ...TERMINAL_ENVIRONMENT, ...environment },
      terminal: {
        cols: TERMINAL_SIZE.columns,
        rows: TERMINAL_SIZE.rows,
        data: (_, bytes) => this.screen.write(decoder.decode(bytes, { stream: true })),
      },
    });
    sandbox.adopt(this.process.pid);
    this.#terminal = this.process.terminal as Bun.Terminal;
  }

  type(text: string): void {
    this.#terminal.write(text);
  }

  resize(columns: number, rows: number): void {
    this.screen.resize({ columns, rows });
    this.#terminal.resize(columns, rows);
  }

  /** Returns whether the terminal passes each key on at once, without an echo. */
  get isRaw(): boolean {
    const [isSig, isCanonical, echo] = [0x1, 0x2, 0x8];
    const cooked = isSig | isCanonical | echo;
    const set = this.#terminal.localFlags & cooked;
    if (set !== 0 && set !== cooked) throw new Error(`the terminal is half raw: ${set}`);
    return set === 0;
  }

  shows(what: string | RegExp): Promise<void> {
    const isShown = () =>
      typeof what === "string" ? this.screen.text.includes(what) : what.test(this.screen.text);
    return until(`the screen shows ${what}`, isShown);
  }
}
