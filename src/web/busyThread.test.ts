import { afterEach, expect, test } from "bun:test";
import { BusyThread } from "./busyThread.ts";

let [nowMs, cpuMs] = [0, 0];
let pauses = 0;
let thread: BusyThread | undefined;

afterEach(() => thread?.stop());

function start(): (partOfSecond: number) => number {
  pauses = 0;
  const started = new BusyThread(
    () => void pauses++,
    () => nowMs,
    () => cpuMs,
  );
  thread = started;
  return (partOfSecond) => {
    nowMs += 1000;
    cpuMs += 1000 * partOfSecond;
    started.check();
    return pauses;
  };
}

test("a quarter of a CPU is no pause, and more is one of 10 s", () => {
  const second = start();
  expect([second(0.25), second(0.26), second(0.1), second(0.1)]).toEqual([0, 1, 1, 1]);
});

test("while the thread stays busy, a pause follows before the one before has ended", () => {
  const second = start();
  const seconds = Array.from({ length: 17 }, () => second(0.8));
  expect(seconds).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
});
