import { expect, test } from "bun:test";
import { someJob } from "../../../test/support/jobs.ts";
import { someUse } from "../../../test/support/samples.ts";
import type { Counters } from "../../limits/counters.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { realHost } from "../../linux/host.ts";
import type { MeasuredUse } from "../measuredUse.ts";
import { NO_MEDIA } from "../media/mediaReader.ts";
import { HindranceJudge } from "./hindranceJudge.ts";

const applied: LimitOutcome = { limit: "cpu.max", outcome: "applied", wanted: "x", actual: "x" };
const job = someJob({ outcomes: [applied] });
const PACE = { targetSpeed: 1, input: "file", isPaced: true } as const;

/** Returns samples of a live job, one in each second, with half of the time of a core and a speed of 0.5. */
function* samples(perSecond: Partial<Counters>, different: Partial<MeasuredUse> = {}) {
  const media = { ...NO_MEDIA, speed: { factor: 0.5, overMs: 15_000 } };
  for (let second = 1; ; second++) {
    const counted = Object.entries({ cpuUsec: 500_000, quotaPeriods: 10, throttledPeriods: 0, ...perSecond });
    const use = someUse(
      job,
      Object.fromEntries(counted.map(([name, value]) => [name, second * (value ?? 0)])),
    );
    yield {
      ...use,
      media,
      pace: PACE,
      ...different,
      now: { ...use.now, atBootMs: second * 1000 },
    } as MeasuredUse;
  }
}

function judgeFor(uses: Iterable<MeasuredUse>, judge = new HindranceJudge(realHost())) {
  return [...uses].map((use) => judge.judge(use, []));
}

test("a starved job is said to be after 30 s, with one begin and what it needs", () => {
  const said = judgeFor(samples({ throttledPeriods: 9 }).take(40));
  // The second sample is the first one with a rate.
  expect(said.findIndex((each) => each !== null)).toBe(31);
  expect(said.at(-1)).toMatchObject({
    ...{ verdict: "own_limit", isLive: true, neededCores: 1, forMs: 38_000 },
    limit: { name: "cpu.max", of: "job" },
    evidence: { throttledPercent: 90, speed: 0.5, cpuCores: 0.5 },
  });
  expect(new Set(said.flatMap((each) => each?.sinceMs ?? [])).size).toBe(1);
});

test("waits for memory and disks are said of any job, with no need of CPUs", () => {
  const own = { pace: { ...PACE, targetSpeed: null, isPaced: false } };
  for (const [counter, verdict] of [
    ["memoryFullPressureUsec", "memory"],
    ["ioFullPressureUsec", "io"],
  ] as const) {
    const said = judgeFor(samples({ [counter]: 300_000 }, own).take(40)).at(-1);
    expect(said).toMatchObject({ verdict, isLive: false, neededCores: null, limit: null });
  }
});

test("a job whose command line is not known is held back by nothing that is known", () => {
  expect(judgeFor(samples({ throttledPeriods: 9 }, { pace: null }).take(40)).at(-1)).toBeNull();
});

test("a job that was forgotten starts again without evidence", () => {
  const judge = new HindranceJudge(realHost());
  const uses = [...samples({ throttledPeriods: 9 }).take(60)];
  expect(judgeFor(uses.slice(0, 40), judge).at(-1)).not.toBeNull();
  judge.forgetExcept(new Set([job.key]));
  expect(judgeFor(uses.slice(40, 41), judge)).not.toEqual([null]);
  judge.forgetExcept(new Set());
  expect(judgeFor(uses.slice(41), judge).at(-1)).toBeNull();
});
