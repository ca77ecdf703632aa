import type { CommonFlags } from "../options/jobOptions.ts";
import { writeOut } from "../output/messages.ts";
import { isStdoutTerminal, tableWidth } from "../output/terminal.ts";
import { openToRead, requireRecords } from "../session.ts";
import { LiveTop } from "../top/liveTop.ts";
import { renderOnce } from "../top/screen.ts";
import type { ScreenData } from "../top/screenData.ts";
import { ScreenSource, type TopSource } from "../top/screenSource.ts";
import { INITIAL_STATE, type Order } from "../top/state.ts";
import { styleOf } from "../top/style.ts";

export interface TopFlags extends CommonFlags {
  once?: boolean;
  /** In ms. */
  interval: number;
  sort?: Order;
  /** False with --no-probe. */
  probe?: boolean;
}

/** Shows jobs on the whole terminal until the user quits. In a pipe, or with `--once`, prints one table. */
export async function top(flags: TopFlags): Promise<number> {
  const context = openToRead(flags);
  requireRecords(context);
  const { interval: intervalMs, probe } = flags;
  const source = new ScreenSource(context, { intervalMs, probes: probe !== false });
  try {
    const shown = await showTop(source, flags);
    return typeof shown === "number" ? shown : 0;
  } finally {
    source.close();
    context.ledger.close();
  }
}

/** Returns the exit code of the screen, or the one table that was printed. */
export async function showTop(
  source: TopSource & { settle(): Promise<void> },
  { interval: intervalMs, sort, once }: TopFlags,
): Promise<number | ScreenData> {
  const state = { ...INITIAL_STATE, ...(sort ? { order: sort } : {}) };
  const style = styleOf(process.env);
  const first = await source.measure();
  if (!once && isStdoutTerminal() && process.env["TERM"] !== "dumb")
    return new LiveTop(source, first, state, { intervalMs, style }).run();
  // A single table has all that can be known.
  await source.settle();
  await Bun.sleep(intervalMs);
  const data = await source.measure();
  const columns = tableWidth() ?? Number.POSITIVE_INFINITY;
  writeOut(`${renderOnce(data, state, columns, { ...style, hasColor: false }).join("\n")}\n`);
  return data;
}
