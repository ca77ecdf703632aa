import { expect, test } from "bun:test";
import { someJob } from "../../test/support/jobs.ts";
import { someUse } from "../../test/support/samples.ts";
import type { Need } from "../metrics/shares/need.ts";
import { type DaemonEvent, DaemonEvents } from "./events.ts";
import { linesOf } from "./log.ts";
import { levelOf } from "./logLevel.ts";
import { Shortfalls } from "./shortfalls.ts";

const need: Need = { cores: 0.4, sampleSeconds: 1, isWhileKeepingUp: true };

function start(intervalMs: number) {
  const bus = new DaemonEvents();
  const events: DaemonEvent[] = [];
  bus.subscribe((event) => void events.push(event));
  return { events, shortfalls: new Shortfalls(bus, intervalMs) };
}

test("a job that needs more than it is sure of is logged once as a warning, until it is over", () => {
  const { events, shortfalls } = start(0);
  const job = someJob({ jobId: "live-7" });
  const judge = (sureCores: number | null) =>
    shortfalls.judge(someUse(job, {}, { shares: { sureCores, need } }));
  for (let count = 0; count < 5; count++) judge(0.22);
  expect(events.map(levelOf)).toEqual(["warn"]);
  expect(events.flatMap(linesOf)).toEqual([
    "Job live-7 is sure of 0.22 cores and needs 0.40: it will fall behind when the machine is full",
  ]);
  expect(shortfalls.isShort(job.key)).toBe(true);
  for (let count = 0; count < 3; count++) judge(0.5);
  expect(shortfalls.isShort(job.key)).toBe(false);
  expect(events.slice(1).map(levelOf)).toEqual(["info"]);
  expect(events.slice(1).flatMap(linesOf)).toEqual([
    "Job live-7 is no longer short of CPU: it is sure of 0.50 cores and needs 0.40",
  ]);
  for (let count = 0; count < 3; count++) judge(0.22);
  expect(events.map(({ kind }) => kind)).toEqual([
    "job-short-of-cpu",
    "job-no-longer-short-of-cpu",
    "job-short-of-cpu",
  ]);
  for (let count = 0; count < 3; count++) judge(null);
  expect(events.slice(3).flatMap(linesOf)).toEqual([
    "Job live-7 is no longer short of CPU: what it is sure of or needs is not known any more",
  ]);
  for (let count = 0; count < 3; count++) judge(0.22);
  shortfalls.forget(job.key);
  expect(shortfalls.isShort(job.key)).toBe(false);
});

test("frequent readings of a job do not count as many", () => {
  const { events, shortfalls } = start(60_000);
  const job = someJob();
  for (let count = 0; count < 10; count++)
    shortfalls.judge(someUse(job, {}, { shares: { sureCores: 0.1, need } }));
  expect(events).toEqual([]);
});
