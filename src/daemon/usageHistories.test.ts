import { afterEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { useGovernedSleepers } from "../../test/support/governedSleepers.ts";
import { IDLE_NETWORK } from "../../test/support/samples.ts";
import { lacksLimits, until } from "../../test/support/sandbox.ts";
import { detach } from "../jobs/attach/detach.ts";
import type { Context } from "../jobs/context.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import type { HindranceChange } from "../metrics/hindrance/hinderedTotals.ts";
import { decodeHistory, type StoredHistory } from "../metrics/history/encoding.ts";
import { NO_MEDIA } from "../metrics/media/mediaReader.ts";
import { DaemonEvents } from "./events.ts";
import { reportHindrance } from "./hindranceEvents.ts";
import { type Meter, NO_METER } from "./meter/meterClient.ts";
import type { MeterReading, MeterSubject } from "./meter/protocol.ts";
import { UsageHistories } from "./usageHistories.ts";

const { governSleeper, makeGovernor } = useGovernedSleepers();
const reason = lacksLimits();
if (reason !== undefined) console.log(`not tried: histories of jobs: ${reason}`);
const limitsTest = test.skipIf(reason !== undefined);

const INTERVAL_MS = 50;
const running: UsageHistories[] = [];
afterEach(() => {
  for (const histories of running.splice(0)) histories.stop();
});

/** Returns a sampler of these jobs, with the number of rounds that it has made, and the jobs that it has dropped. */
function start(context: Context, jobs: ReadonlyMap<string, RunningJob>) {
  const counted = { rounds: 0, dropped: [] as string[] };
  const attempt = <T>(work: () => T): T => {
    counted.rounds++;
    return work();
  };
  const given = { ...context, meter: NO_METER, postponed: { attempt } };
  const intervals = { hotMs: INTERVAL_MS, coldMs: INTERVAL_MS };
  const onDrop = (key: string) => void counted.dropped.push(key);
  const histories = new UsageHistories(given, () => jobs, intervals, { onDrop });
  running.push(histories);
  histories.wake();
  return { histories, counted };
}

function storedOf({ ledger }: Context, job: RunningJob): StoredHistory | undefined {
  const bytes = ledger.usageHistory(job);
  return bytes && decodeHistory(bytes);
}

const cpuOf = (stored: StoredHistory | undefined) => stored?.last.counters.cpuUsec;

limitsTest("a job that ends has its history in the ledger, up to a last reading", async () => {
  const { context, job } = governSleeper({ pidsMax: 10 });
  const { histories, counted } = start(context, new Map([[job.key, job]]));
  await until("the job was read three times", () => counted.rounds >= 3);
  expect(storedOf(context, job)).toBeUndefined();
  histories.finish(job);
  const stored = storedOf(context, job);
  expect(stored?.points.length).toBeGreaterThan(0);
  expect(stored?.points[0]?.gauges.processCount).toEqual({ min: 1, max: 1 });
  expect(stored?.points.at(-1)?.endMs).toBe(stored?.last.atBootMs as number);
  expect(cpuOf(stored)).toBeNumber();
});

limitsTest(
  "the history of a job that another process has ended is recorded as it was read last",
  async () => {
    const { context, job } = governSleeper({ pidsMax: 10 });
    const jobs = new Map([[job.key, job]]);
    const { counted } = start(context, jobs);
    await until("the job was read twice", () => counted.rounds >= 2);
    jobs.delete(job.key);
    await until("its history is recorded", () => storedOf(context, job) !== undefined);
    expect(counted.dropped).toEqual([job.key]);
    const { rounds } = counted;
    await Bun.sleep(4 * INTERVAL_MS);
    // No timer runs without a job.
    expect(counted.rounds).toBe(rounds);
  },
);

limitsTest("a job that begins as another one ends is read, and the other one is dropped", async () => {
  const [before, after] = [governSleeper({ pidsMax: 10 }), governSleeper({ pidsMax: 10 })];
  const jobs = new Map([[before.job.key, before.job]]);
  const { histories, counted } = start(before.context, jobs);
  const keys = () => histories.uses().map(({ job }) => job.key);
  await until("the first job was read", () => keys().includes(before.job.key));
  jobs.delete(before.job.key);
  jobs.set(after.job.key, after.job);
  histories.wake();
  await until("the second job was read", () => keys().includes(after.job.key));
  expect(keys()).toEqual([after.job.key]);
  expect(counted.dropped).toEqual([before.job.key]);
});

limitsTest("a job is read by its present record, also when it ends", async () => {
  const { context, job } = governSleeper({ pidsMax: 10 });
  const jobs = new Map([[job.key, job]]);
  const { histories } = start(context, jobs);
  await until("the job was read", () => histories.uses().length > 0);
  const changed = { ...job, labels: { stage: "later" } };
  jobs.set(job.key, changed);
  await until("the record is the changed one", () => histories.uses()[0]?.job === changed);
  const last = { ...job, labels: { stage: "last" } };
  histories.finish(last);
  expect(histories.endedUses()[0]?.job).toBe(last);
});

limitsTest("a later daemon continues the history, and the time between is one point", async () => {
  const { context, job } = governSleeper({ pidsMax: 10 });
  const jobs = new Map([[job.key, job]]);
  const first = start(context, jobs);
  await until("the job was read twice", () => first.counted.rounds >= 2);
  first.histories.stop();
  const before = storedOf(context, job) as StoredHistory;
  const second = start(context, jobs);
  await until("the job was read twice", () => second.counted.rounds >= 2);
  second.histories.stop();
  const after = storedOf(context, job) as StoredHistory;
  expect(after.points[0]?.startMs).toBe(before.points[0]?.startMs as number);
  expect(after.last.atBootMs).toBeGreaterThan(before.last.atBootMs);
  const total = after.points.reduce((sum, { counts }) => sum + (counts.cpuUsec ?? 0), 0);
  const firstCpu =
    (cpuOf(before) ?? 0) - before.points.reduce((sum, { counts }) => sum + (counts.cpuUsec ?? 0), 0);
  expect(total).toBe((cpuOf(after) ?? 0) - firstCpu);
});

/** Long enough that a test sees only the first reading. */
const NEVER_MS = 3_600_000;

/** A meter that counts its questions about each job, and answers with these readings. */
function countingMeter(readings: Record<string, MeterReading> = {}) {
  const asked = new Map<string, number>();
  const ask = ({ key }: MeterSubject) => void asked.set(key, (asked.get(key) ?? 0) + 1);
  return { ...NO_METER, asked, ask, readingOf: (key: string) => readings[key] };
}

/** Starts to read these jobs often when they are asked for, and otherwise once. */
function startSeldom(context: Context, jobs: readonly RunningJob[], meter: Meter): UsageHistories {
  const byKey = new Map(jobs.map((job) => [job.key, job]));
  const attempt = <T>(work: () => T): T => work();
  const intervals = { hotMs: INTERVAL_MS, coldMs: NEVER_MS };
  const histories = new UsageHistories({ ...context, meter, postponed: { attempt } }, () => byKey, intervals);
  running.push(histories);
  histories.wake();
  return histories;
}

limitsTest("jobs are read often for as long as a viewer asks for it", async () => {
  const { context, job } = governSleeper({ pidsMax: 10 });
  const meter = countingMeter();
  const histories = startSeldom(context, [job], meter);
  const count = () => meter.asked.get(job.key) ?? 0;
  await until("the job was read", () => count() === 1);
  await Bun.sleep(4 * INTERVAL_MS);
  expect(count()).toBe(1);
  expect(histories.uses()).toMatchObject([{ job: { key: job.key }, rates: null, network: null }]);
  histories.keepFresh();
  await until("the job is read often", () => count() >= 5);
  expect(histories.uses()).toMatchObject([{ rates: {} }]);
  histories.stop();
  const briefly = startSeldom(context, [job], meter);
  briefly.keepFresh(INTERVAL_MS);
  await until("the job is not read any more", async () => {
    const before = count();
    await Bun.sleep(4 * INTERVAL_MS);
    return count() === before;
  });
});

limitsTest("a job whose first reading is postponed is read later", async () => {
  const { context, job } = governSleeper({ pidsMax: 10 });
  const meter = countingMeter();
  let postponed = 0;
  const attempt = <T>(work: () => T): T | undefined => (postponed++ < 2 ? undefined : work());
  const intervals = { hotMs: INTERVAL_MS, coldMs: INTERVAL_MS };
  const given = { ...context, meter, postponed: { attempt } };
  const histories = new UsageHistories(given, () => new Map([[job.key, job]]), intervals);
  running.push(histories);
  histories.wake();
  await until("the job is read", () => (meter.asked.get(job.key) ?? 0) > 0);
});

limitsTest("a live job that falls behind is read often, and the others are not", async () => {
  const context = makeGovernor();
  const [slow, other] = ["slow", "other"].map(
    (jobId) => governSleeper({ pidsMax: 10 }, { jobId }, context).job,
  ) as [RunningJob, RunningJob];
  const media = {
    ...NO_MEDIA,
    source: "log",
    mediaSeconds: 9,
    speed: { factor: 0.8, overMs: 15_000 },
  } as const;
  const meter = countingMeter({ [slow.key]: { network: null, media, pace: null } });
  const histories = startSeldom(context, [slow, other], meter);
  await until("the slow job is read often", () => (meter.asked.get(slow.key) ?? 0) >= 5);
  expect(meter.asked.get(other.key)).toBe(1);
  const uses = histories.uses();
  expect(uses.find(({ job }) => job.key === slow.key)?.media.speed?.factor).toBe(0.8);
  expect(uses.find(({ job }) => job.key === other.key)?.media).toEqual(NO_MEDIA);
});

/** So that a busy machine, which delays samples, does not end what is said. */
const HOLD_MS = 1500;

limitsTest("the job is said to be held back while it is, and its result has for how long", async () => {
  const { context, job } = governSleeper({ pidsMax: 10 });
  const network = { ...IDLE_NETWORK, windowLimitedPercent: 99 };
  const pace = { targetSpeed: 1, input: "file", isPaced: true } as const;
  const readings: Record<string, MeterReading> = { [job.key]: { network, media: NO_MEDIA, pace } };
  const changes: HindranceChange[] = [];
  const attempt = <T>(work: () => T): T => work();
  const given = { ...context, meter: countingMeter(readings), postponed: { attempt } };
  const histories = new UsageHistories(
    given,
    () => new Map([[job.key, job]]),
    { hotMs: INTERVAL_MS, coldMs: INTERVAL_MS },
    {
      holdMs: HOLD_MS,
      onHindrance: (_, change) => {
        changes.push(change);
        reportHindrance({ ...context, bus: new DaemonEvents() }, job, change);
      },
    },
  );
  running.push(histories);
  histories.wake();
  await until("a cause is said", () => changes.length === 1);
  expect(changes).toMatchObject([{ began: { verdict: "receiver", isLive: true } }]);
  expect(histories.uses()).toMatchObject([{ hindrance: { verdict: "receiver" } }]);
  // Another ffrtmp that records the end now knows of it.
  expect(context.ledger.hinderedTimes(job)?.secondsBy.receiver).toBeGreaterThanOrEqual(HOLD_MS / 1000);
  readings[job.key] = { network: IDLE_NETWORK, media: NO_MEDIA, pace };
  await until("it is said no more", () => changes.length === 2);
  expect(changes[1]).toMatchObject({ ended: { verdict: "receiver" } });
  expect(histories.uses()).toMatchObject([{ hindrance: null }]);
  histories.finish(job);
  const result = detachedResultOf(context, job);
  expect(result).toMatchObject({ slaReason: "detached", hinderedSeconds: { receiver: expect.any(Number) } });
  const seconds = result?.hinderedSeconds?.receiver as number;
  const events = context.ledger.events(job).filter(({ kind }) => kind.startsWith("held_back"));
  expect(events).toMatchObject([
    { kind: "held_back", detail: { verdict: "receiver", live: true, needed_cores: null, limit: null } },
    { kind: "held_back_ended", detail: { verdict: "receiver", seconds } },
  ]);
});

/** Detaches a job, so that nothing of it is left, and returns its result. */
function detachedResultOf(context: Context, job: RunningJob): JobResult | undefined {
  detach(context, job, jobCgroupOf(context, job));
  return context.ledger.result(job);
}

limitsTest("a job that no meter could judge has no such times", async () => {
  const { context, job } = governSleeper({ pidsMax: 10 });
  const { histories, counted } = start(context, new Map([[job.key, job]]));
  await until("the job was read three times", () => counted.rounds >= 3);
  histories.finish(job);
  expect(detachedResultOf(context, job)?.hinderedSeconds).toBeNull();
});

const cpuacctTest = test.skipIf(reason !== undefined || !existsSync("/sys/fs/cgroup/cpuacct"));
cpuacctTest("many jobs are spread over the parts of an interval", async () => {
  const context = makeGovernor();
  const jobs = Array.from(
    { length: 110 },
    (_, n) => governSleeper({ pidsMax: 10 }, { jobId: `job${n}` }, context).job,
  );
  const reads: number[] = [];
  const fs = context.host.cgroupFs;
  const counting = {
    ...context,
    host: {
      ...context.host,
      cgroupFs: {
        ...fs,
        read(path: string) {
          if (path.endsWith("/cpuacct.usage")) reads[reads.length - 1] = (reads.at(-1) ?? 0) + 1;
          return fs.read(path);
        },
      },
    },
  };
  const attempt = <T>(work: () => T): T => {
    reads.push(0);
    return work();
  };
  const byKey = new Map(jobs.map((job) => [job.key, job]));
  const histories = new UsageHistories(
    { ...counting, meter: NO_METER, postponed: { attempt } },
    () => byKey,
    {
      hotMs: 300,
      coldMs: 300,
    },
  );
  running.push(histories);
  histories.wake();
  const total = () => reads.reduce((sum, count) => sum + count, 0);
  await until("each job was read several times", () => total() >= 550);
  // 100 in one slice and 10 in another one; on a slow machine, with what is left of the slice before.
  expect(reads.filter((count) => count > 0).length).toBeGreaterThan(total() / jobs.length);
});
