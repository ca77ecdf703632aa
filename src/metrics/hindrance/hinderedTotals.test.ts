import { describe, expect, it } from "bun:test";
import { someHindrance } from "../../../test/support/hindrances.ts";
import { HinderedTotals } from "./hinderedTotals.ts";

const quota = (forMs: number, sinceMs = 0) => someHindrance({ forMs, sinceMs });
const receiver = (forMs: number) => someHindrance({ verdict: "receiver", forMs, limit: null });

describe("the times in which a job was held back", () => {
  it("are not known before it can be judged, and none when nothing was found", () => {
    const totals = new HinderedTotals();
    totals.add(null, false);
    expect(totals.times).toBeUndefined();
    totals.add(null, true);
    expect(totals.times).toEqual({ secondsBy: {}, starvedSeconds: 0 });
  });

  it("are those from the begin of each cause to its last sample", () => {
    const totals = new HinderedTotals();
    const changes = [null, quota(30_000), quota(41_000), receiver(30_000), null, quota(30_100, 1)].map(
      (each) => totals.add(each, true),
    );
    expect(changes).toEqual([
      {},
      { began: quota(30_000) },
      {},
      { began: receiver(30_000), ended: quota(41_000) },
      { ended: receiver(30_000) },
      { began: quota(30_100, 1) },
    ]);
    expect(totals.times).toEqual({ secondsBy: { own_limit: 71.1, receiver: 30 }, starvedSeconds: 71.1 });
  });

  it("continue those of an earlier daemon", () => {
    const totals = new HinderedTotals({ secondsBy: { source: 5, receiver: 0.1 }, starvedSeconds: 0 });
    expect(totals.times).toEqual({ secondsBy: { source: 5, receiver: 0.1 }, starvedSeconds: 0 });
    totals.add(receiver(200), true);
    expect(totals.times).toEqual({ secondsBy: { source: 5, receiver: 0.3 }, starvedSeconds: 0 });
  });

  it("are no starvation where the job is not live, or the limit is not one of ours", () => {
    for (const hindrance of [
      someHindrance({ isLive: false }),
      someHindrance({ limit: null }),
      receiver(40_000),
    ]) {
      const totals = new HinderedTotals();
      totals.add(hindrance, true);
      expect(totals.times?.starvedSeconds).toBe(0);
    }
  });
});
