import type { CommonFlags } from "../options/jobOptions.ts";
import { writeOut } from "../output/messages.ts";
import { isStdoutTerminal, tableWidth } from "../output/terminal.ts";
import { openToRead, requireRecords } from "../session.ts";
import { LiveTop } from "../top/liveTop.ts";
import { renderOnce } from "../top/screen.ts";
import { ScreenSource } from "../top/screenSource.ts";
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
  const state = { ...INITIAL_STATE, ...(flags.sort ? { order: flags.sort } : {}) };
  const style = styleOf(process.env);
  try {
    const isOnce = flags.once || !isStdoutTerminal() || process.env["TERM"] === "dumb";
    if (!isOnce) {
      const first = await source.measure();
      return await new LiveTop(source, first, state, { intervalMs, style }).run();
    }
    await source.measure();
    // A single table has all that can be known.
    await source.settle();
    await Bun.sleep(intervalMs);
    const columns = tableWidth() ?? Number.POSITIVE_INFINITY;
    const lines = renderOnce(await source.measure(), state, columns, { ...style, hasColor: false });
    writeOut(`${lines.join("\n")}\n`);
    return 0;
  } finally {
    source.close();
    context.ledger.close();
  }
}
