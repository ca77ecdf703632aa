import { hostname } from "node:os";
import { signalNumber } from "../../sys/waitStatus.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { writeOut } from "../output/messages.ts";
import { isStdoutTerminal, tableWidth } from "../output/terminal.ts";
import { openToRead, requireRecords } from "../session.ts";
import { FullScreen } from "../top/fullScreen.ts";
import { listedRows, pageOf, renderOnce, renderScreen } from "../top/screen.ts";
import { type ScreenData, ScreenSource } from "../top/screenData.ts";
import { afterKey, INITIAL_STATE, type Order, parseKeys } from "../top/state.ts";
import { styleOf } from "../top/style.ts";

export interface TopFlags extends CommonFlags {
  once?: boolean;
  /** In ms. */
  interval: number;
  sort?: Order;
}

/** The first screen does not wait for a whole interval. */
const FIRST_INTERVAL_MS = 200;

/** Shows jobs on the whole terminal until the user quits. In a pipe, or with `--once`, prints one table. */
export async function top(flags: TopFlags): Promise<number> {
  const context = openToRead(flags);
  requireRecords(context);
  const source = new ScreenSource(context, hostname());
  source.measure();
  await Bun.sleep(Math.min(FIRST_INTERVAL_MS, flags.interval));
  const state = { ...INITIAL_STATE, ...(flags.sort ? { order: flags.sort } : {}) };
  const style = styleOf(process.env);
  if (flags.once || !isStdoutTerminal() || process.env["TERM"] === "dumb") {
    const plain = { ...style, hasColor: false };
    const columns = tableWidth() ?? Number.POSITIVE_INFINITY;
    writeOut(`${renderOnce(source.measure(), state, columns, plain).join("\n")}\n`);
    context.ledger.close();
    return 0;
  }
  const code = await showLive(source, state, flags.interval, style);
  context.ledger.close();
  return code;
}

/** Resolves to the exit code: 0 after the key `q` or Ctrl-C, or that of a shell after another signal. */
function showLive(
  source: ScreenSource,
  first: typeof INITIAL_STATE,
  intervalMs: number,
  style: ReturnType<typeof styleOf>,
): Promise<number> {
  return new Promise((resolve) => {
    let state = first;
    let data: ScreenData = source.measure();
    const end = (code: number) => {
      clearInterval(timer);
      screen.leave();
      resolve(code);
    };
    const draw = () => {
      if (!screen.show(renderScreen(data, state, screen.size(), style))) end(0);
    };
    const screen = new FullScreen((text) => {
      for (const key of parseKeys(text)) {
        const ids = listedRows(data, state).map(({ job }) => job.jobId);
        const after = afterKey(state, key, ids, pageOf(screen.size()));
        if (after === "quit") return end(0);
        state = after;
      }
      draw();
    });
    const timer = setInterval(() => {
      // The history goes on while the screen stands still.
      const measured = source.measure();
      if (state.isPaused) return;
      data = measured;
      draw();
    }, intervalMs);
    process.on("SIGWINCH", draw);
    process.on("SIGINT", () => end(0));
    for (const signal of ["SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => end(128 + (signalNumber(signal) ?? 0)));
    process.on("SIGCONT", draw);
    draw();
  });
}
