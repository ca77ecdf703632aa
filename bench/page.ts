import type { CDPSession } from "playwright-core";
import { openBrowser } from "../test/support/browser.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { startFakeDaemon } from "./lib/fakeDaemon.ts";
import { markdownTable, ms, target } from "./lib/table.ts";

const JOB_COUNTS = [20, 200];
const MOST_MS_PER_SECOND = 100;
/** The first snapshots build the page. */
const WARM_UP_MS = 5000;

/** Measures the main thread of the browser while the page shows many jobs, each with new figures each second. */
export const page: Benchmark = {
  title: "Page: main thread of the browser, a snapshot each second",
  needs: { chromium: "chromium" },
  async run({ quick }) {
    const seconds = quick ? 10 : 30;
    const rows: (string | number)[][] = [];
    let most = 0;
    for (const jobs of JOB_COUNTS) {
      progress(`${jobs} jobs`);
      const { all, script, layout, heapMb } = await measure(jobs, seconds);
      rows.push([jobs, ms(all), ms(script), ms(layout), heapMb.toFixed(0)]);
      most = Math.max(most, all);
    }
    return [
      markdownTable(
        ["jobs", "main thread, ms per s", "of that script", "of that style and layout", "heap, MB"],
        rows,
      ),
      target(
        `at most ${MOST_MS_PER_SECOND} ms of main thread per second: ${ms(most)}`,
        most <= MOST_MS_PER_SECOND,
      ),
    ].join("\n\n");
  },
};

async function measure(jobs: number, seconds: number) {
  const daemon = startFakeDaemon(jobs);
  const browser = await openBrowser();
  try {
    const session = await browser.context.newCDPSession(browser.page);
    // CPU time of the thread: the time of day would count what else runs on the machine.
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    await browser.page.goto(daemon.url);
    await browser.page.getByRole("row").nth(jobs).waitFor();
    await Bun.sleep(WARM_UP_MS);
    const before = await readMetrics(session);
    await Bun.sleep(seconds * 1000);
    const after = await readMetrics(session);
    const since = (...names: string[]) =>
      names.reduce((sum, name) => sum + 1000 * ((after[name] ?? 0) - (before[name] ?? 0)), 0) / seconds;
    return {
      all: since("TaskDuration"),
      script: since("ScriptDuration"),
      layout: since("LayoutDuration", "RecalcStyleDuration"),
      heapMb: (after["JSHeapUsedSize"] ?? 0) / 1e6,
    };
  } finally {
    await browser.close();
    daemon.stop();
  }
}

async function readMetrics(session: CDPSession): Promise<Record<string, number>> {
  const { metrics } = await session.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}
