import { signalNumber } from "../../sys/waitStatus.ts";
import { FullScreen } from "./fullScreen.ts";
import type { JobDetail } from "./jobView.ts";
import { type Rendered, renderScreen } from "./screen.ts";
import { rowId, type ScreenData, type ScreenJob } from "./screenData.ts";
import type { TopSource } from "./screenSource.ts";
import { afterKey, parseKeys, type ScreenState } from "./state.ts";
import type { Style } from "./style.ts";

/** The interval at which a terminal that does not read is offered the last screen. */
const RETRY_MS = 200;

const SAME_OCCASION_MS = 100;

type Listener = (...args: unknown[]) => void;

/** Shows jobs on the whole terminal, until the user or a signal ends it. */
export class LiveTop {
  readonly #source: TopSource;
  readonly #intervalMs: number;
  readonly #style: Style;
  readonly #ended = Promise.withResolvers<number>();
  readonly #listeners: [string, Listener][] = [];
  #state: ScreenState;
  #data: ScreenData;
  #rendered: Rendered | undefined;
  #screen: FullScreen;
  #isEnded = false;
  /** When the terminal was taken again. */
  #takenMs = Number.NEGATIVE_INFINITY;

  constructor(
    source: TopSource,
    first: ScreenData,
    state: ScreenState,
    { intervalMs, style }: { intervalMs: number; style: Style },
  ) {
    this.#source = source;
    this.#intervalMs = intervalMs;
    this.#style = style;
    this.#state = state;
    this.#data = first;
    this.#screen = new FullScreen((text) => this.#attempt(() => this.#receive(text)));
  }

  /** Resolves to the exit code: 0 after the key `q` or Ctrl-C, or that of a shell after another signal. */
  async run(): Promise<number> {
    // Before the report of the failure, which would be lost with the alternate screen.
    for (const failure of ["uncaughtException", "unhandledRejection"] as const)
      this.#listen(failure, () => this.#screen.leave());
    this.#listen("SIGINT", () => this.#end(0));
    for (const signal of ["SIGTERM", "SIGHUP"])
      this.#listen(signal, () => this.#end(128 + (signalNumber(signal) ?? 0)));
    this.#listen("SIGWINCH", () => this.#attempt(() => this.#draw()));
    this.#listen("SIGCONT", () => this.#attempt(() => this.#takeTerminalAgain()));
    this.#listen("SIGTSTP", this.#stop);
    const retry = setInterval(() => {
      if (this.#screen.isBehind) this.#attempt(() => this.#draw());
    }, RETRY_MS);
    try {
      this.#draw();
      const measuring = this.#measureAgain();
      return await Promise.race([this.#ended.promise, measuring]);
    } finally {
      clearInterval(retry);
      this.#isEnded = true;
      for (const [event, listener] of this.#listeners) process.off(event, listener);
      this.#screen.leave();
    }
  }

  #listen(event: string, listener: Listener): void {
    this.#listeners.push([event, listener]);
    process.prependListener(event, listener);
  }

  #end(code: number): void {
    this.#ended.resolve(code);
  }

  /** A failure in a callback ends the screen before it is reported. */
  #attempt(act: () => void): void {
    try {
      if (!this.#isEnded) act();
    } catch (error) {
      this.#ended.reject(error);
    }
  }

  async #measureAgain(): Promise<never> {
    for (let dueMs = performance.now(); ; ) {
      dueMs = Math.max(dueMs + this.#intervalMs, performance.now() + this.#intervalMs / 2);
      await Bun.sleep(dueMs - performance.now());
      // The history grows while the screen is paused.
      const data = await this.#source.measure();
      if (this.#state.isPaused) continue;
      this.#data = data;
      this.#attempt(() => this.#draw());
    }
  }

  #receive(text: string): void {
    for (const key of parseKeys(text)) {
      if (key === "suspend") {
        process.kill(0, "SIGTSTP");
        continue;
      }
      if (key === "redraw") this.#screen.redraw();
      const { ids = [], page = 1, maxScroll = 0 } = this.#rendered ?? {};
      const after = afterKey(this.#state, key, { ids, page, maxScroll });
      if (after === "quit") {
        this.#end(0);
        return;
      }
      this.#state = after;
      // A key may depend on the screen that the key before it makes.
      this.#render();
    }
    this.#draw();
  }

  #render(): Rendered {
    const size = this.#screen.size();
    this.#rendered = renderScreen(this.#data, this.#state, size, this.#style, this.#detail());
    return this.#rendered;
  }

  #draw(): void {
    const size = this.#screen.size();
    if (!this.#screen.show(this.#render().lines, size)) this.#end(0);
  }

  #detail(): JobDetail | undefined {
    const { view, selected } = this.#state;
    if (view !== "job" && view !== "log") return undefined;
    const row = this.#data.jobs.find((each) => rowId(each) === selected);
    if (row === undefined) return undefined;
    this.#loadHistory(row);
    return this.#source.detailOf(row, view === "log");
  }

  #loadHistory(row: ScreenJob): void {
    this.#source.loadHistory(row).then(
      (isNew) => isNew && this.#attempt(() => this.#draw()),
      (error) => this.#ended.reject(error),
    );
  }

  /** Stops this process as a shell expects, with the terminal as it was. */
  readonly #stop: Listener = () => {
    this.#screen.leave();
    process.off("SIGTSTP", this.#stop);
    // Without a listener, the kernel stops this process, or ignores the signal where no shell could continue it.
    process.kill(process.pid, "SIGTSTP");
    process.on("SIGTSTP", this.#stop);
    this.#attempt(() => this.#takeTerminalAgain());
  };

  /** A shell may have changed the modes of the terminal while this process was stopped. */
  #takeTerminalAgain(): void {
    // After a stop there are two occasions: this process continues, and it gets SIGCONT.
    if (performance.now() - this.#takenMs < SAME_OCCASION_MS) return;
    this.#takenMs = performance.now();
    this.#screen.leave();
    this.#screen.enter();
    this.#draw();
  }
}
