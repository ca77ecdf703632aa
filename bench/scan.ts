import { openContext } from "../src/cli/session.ts";
import { decideProcess } from "../src/daemon/decision.ts";
import { ProcessScan } from "../src/linux/events/processScan.ts";
import { realHost } from "../src/linux/host.ts";
import { listPids } from "../src/linux/proc/table.ts";
import { decide } from "../src/policy/decide.ts";
import { DEFAULT_TARGETS, policyFromFlags } from "../src/policy/policy.ts";
import { FactReader } from "../src/policy/procFacts.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { Crowd, countProcesses } from "./lib/crowd.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { median } from "./lib/statistics.ts";
import { markdownTable, target } from "./lib/table.ts";

const MOST_MS_PER_100 = 1;

/** Measures a scan of all processes, with the code of `watch` in this process. */
export const scan: Benchmark = {
  title: "Scan: a look at all processes",
  needs: {},
  async run({ quick }) {
    using ffrtmp = new FfrtmpUnderTest();
    await using crowd = new Crowd();
    const context = openContext({ statePath: ffrtmp.state });
    const rounds = quick ? 10 : 50;
    const rows: (string | number)[][] = [];
    const perHundred: number[] = [];
    for (const count of [100, 1000, 5000]) {
      progress(`${count} processes`);
      await crowd.grow(count);
      const host = realHost();
      const scan = new ProcessScan(host, 0);
      // A scan lists everything once a minute; with a clock that runs ahead, each scan does.
      let minutes = 0;
      const impatient = new ProcessScan({ ...host, now: () => ++minutes * 60_000 }, 0);
      const policy = policyFromFlags(DEFAULT_TARGETS, {});
      const reader = new FactReader(host);
      const present = countProcesses();
      const standing = medianTime(
        rounds,
        () => scan.scan(),
        () => undefined,
      );
      const comeAndGo = () => void Bun.spawnSync(["true"]);
      const asking = medianTime(rounds, () => scan.scan(), comeAndGo);
      const listing = medianTime(rounds, () => impatient.scan(), comeAndGo);
      const judging = medianTime(
        Math.ceil(rounds / 5),
        () => {
          for (const pid of listPids(context.host))
            decideProcess(context, pid, (stat) => decide(policy, reader.of(stat)));
        },
        () => undefined,
      );
      perHundred.push((listing * 100) / present);
      rows.push([
        `${present} processes`,
        ...[standing, asking, listing, judging].map((time) => time.toFixed(2)),
        ((listing * 100) / present).toFixed(2),
        ((judging * 100) / present).toFixed(2),
      ]);
    }
    context.ledger.close();
    const worst = Math.max(...perHundred);
    return [
      markdownTable(
        [
          "ms",
          "nothing new",
          "one came and went",
          "full scan",
          "every process judged (at start, after loss)",
          "full scan per 100",
          "judged per 100",
        ],
        rows,
      ),
      "",
      target(
        `a full scan takes at most ${MOST_MS_PER_100} ms per 100 processes: ${worst.toFixed(2)}`,
        worst <= MOST_MS_PER_100,
      ),
    ].join("\n");
  },
};

function medianTime(rounds: number, act: () => unknown, prepare: () => void): number {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    prepare();
    const from = performance.now();
    act();
    times.push(performance.now() - from);
  }
  return median(times);
}
