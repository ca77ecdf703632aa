import { describe, expect, it } from "bun:test";
import { shareGroup as group } from "../../../test/support/shareGroups.ts";
import { IDLE_WEIGHT } from "../../linux/cgroup/cpuDivision.ts";
import { type ShareGroup, sharesOf } from "./model.ts";

/**
 * The trees of a measurement with 5 live streams and 4 unbounded batch encodes on 2 cores, cgroup v1, 30 s a run (ADR 0131).
 * `okPercent`: the part of the time in which the worst live stream was at most 0.2 s late, the range over the runs.
 * `lagSeconds`: its worst delay.
 *
 * The table has no numbers of threads. Assumed: 10 threads of the batch encodes together that are ready at once ("1000 cured
 * it for about 10 threads"), and 2 of each live stream. Left out are the rows whose limits changed while they were measured
 * (feedback, feed-forward), and that in which the live streams were governed before the batch encodes started: a tree in
 * which nothing changes does not describe them.
 */
interface Measured {
  readonly name: string;
  readonly root: ShareGroup;
  readonly okPercent: readonly [least: number, most: number];
  readonly lagSeconds: readonly [least: number, most: number];
}

const CORES = 2;
/** 60 to 70 % of 2 cores for 5 streams: a stream that gets less cannot keep up. */
const LEAST_NEED = 0.24;
const BATCH_THREADS = 10 / 4;
const LIVE_THREADS = 2;

const threads = (count: number) =>
  Array.from({ length: Math.ceil(count) }, (_, index) => ({
    weight: 100,
    demandCores: Math.min(1, count - index),
  }));
const lives = (fields: Partial<ShareGroup> = {}) =>
  [1, 2, 3, 4, 5].map((n) => group(`/live-${n}`, { threads: threads(LIVE_THREADS), ...fields }));
const batch = (fields: Partial<ShareGroup> = {}) =>
  [1, 2, 3, 4].map((n) => group(`/batch-${n}`, { threads: threads(BATCH_THREADS), ...fields }));
const siblings = (ofBatch: Partial<ShareGroup>) => group("", { children: [...lives(), ...batch(ofBatch)] });
/** Each batch encode in the cgroup of a container. */
const containers = (owner: Partial<ShareGroup>, leaf: Partial<ShareGroup>) =>
  group("", {
    children: [
      ...lives(),
      ...batch(leaf).map((child) => group(`/owner${child.path}`, { children: [child], ...owner })),
    ],
  });
const looseBatch = threads(4 * BATCH_THREADS);
/** The share of one of 5 streams whose threads are all beside those of the batch encodes. */
const LOOSE = "/live-1";
const oneCgroup = group("", {
  threads: [...looseBatch, ...threads(4 * LIVE_THREADS)],
  // A group that weighs as much as its threads do together models the threads of one stream.
  children: [group(LOOSE, { weight: 100 * LIVE_THREADS, threads: threads(LIVE_THREADS) })],
});

const MEASURED: readonly Measured[] = [
  { name: "siblings, no policy", root: siblings({}), okPercent: [1, 1], lagSeconds: [11, 16] },
  {
    name: "siblings, nice 19 inside the batch cgroups",
    root: siblings({ threads: threads(BATCH_THREADS).map((each) => ({ ...each, weight: 1.5 })) }),
    okPercent: [2, 2],
    lagSeconds: [7, 7],
  },
  {
    name: "siblings, quotas of 40 % of a core together",
    root: siblings({ quotaCores: 0.1 }),
    okPercent: [81, 99],
    lagSeconds: [0.3, 0.6],
  },
  {
    name: "siblings, quotas of 60 % of a core together",
    root: siblings({ quotaCores: 0.15 }),
    okPercent: [70, 70],
    lagSeconds: [0.3, 0.6],
  },
  {
    name: "siblings, batch of weight 1",
    root: siblings({ weight: 1 }),
    okPercent: [100, 100],
    lagSeconds: [0.11, 0.17],
  },
  {
    name: "siblings, batch with cpu.idle",
    root: siblings({ weight: IDLE_WEIGHT }),
    okPercent: [99.8, 100],
    lagSeconds: [0.11, 0.21],
  },
  { name: "all in one cgroup", root: oneCgroup, okPercent: [1, 1], lagSeconds: [12, 15] },
  {
    name: "live alone governed, no limits",
    root: group("", { threads: looseBatch, children: lives() }),
    okPercent: [1, 1],
    lagSeconds: [20, 21],
  },
  {
    name: "live alone governed, weight 1000",
    root: group("", { threads: looseBatch, children: lives({ weight: 1000 }) }),
    okPercent: [100, 100],
    lagSeconds: [0.13, 0.13],
  },
  {
    name: "watch, live of weight 1000 and batch of weight 1",
    root: group("", { children: [...lives({ weight: 1000 }), ...batch({ weight: 1 })] }),
    okPercent: [100, 100],
    lagSeconds: [0.18, 0.18],
  },
  {
    name: "batch in containers, weight 1 on the job",
    root: containers({}, { weight: 1 }),
    okPercent: [1.5, 1.5],
    lagSeconds: [13, 13],
  },
  {
    name: "batch in containers, weight 1 on the container",
    root: containers({ weight: 1 }, {}),
    okPercent: [93, 100],
    lagSeconds: [0.1, 0.4],
  },
];

const sureOf = ({ root }: Measured) => sharesOf(root, CORES).get("/live-1") as number;

describe("the shares of the measured trees", () => {
  it.each(MEASURED)("$name: a live stream starves where its share is below its need", (measured) => {
    const starved = measured.okPercent[1] < 50;
    expect(sureOf(measured) < LEAST_NEED).toBe(starved);
  });

  it("have the order of the measured delays", () => {
    // An equal share is no contradiction. Delays of less than a second are those of single frames, not of starving.
    const isBetter = (a: Measured, b: Measured) =>
      a.okPercent[0] > b.okPercent[1] || (b.lagSeconds[0] > 1 && a.lagSeconds[1] < b.lagSeconds[0]);
    const wrong = MEASURED.flatMap((a) =>
      MEASURED.filter((b) => isBetter(a, b) && sureOf(a) < sureOf(b) - 1e-9).map((b) => [a.name, b.name]),
    );
    expect(wrong).toEqual([]);
  });
});
