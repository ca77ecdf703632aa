import { expect, test } from "bun:test";
import type { RawEvent } from "./cnProc.ts";
import { RepeatedEvents } from "./repeatedEvents.ts";

const event = (kind: RawEvent["kind"], pid: number, atUsec = 0): RawEvent => ({
  kind,
  pid,
  waitStatus: 0,
  atUsec,
});

test("the first event of a process passes at once, and the last one of a window when it is over", () => {
  const repeated = new RepeatedEvents();
  repeated.startWindowIfDue(0);
  expect(repeated.passes(event("comm", 7, 1))).toBe(true);
  expect(repeated.passes(event("comm", 8, 1))).toBe(true);
  expect(repeated.dueAtMs()).toBe(Infinity);
  for (const atUsec of [2, 3, 4]) expect(repeated.passes(event("comm", 7, atUsec))).toBe(false);
  expect(repeated.startWindowIfDue(19)).toEqual([]);
  expect(repeated.dueAtMs()).toBe(20);
  expect(repeated.startWindowIfDue(20)).toEqual([event("comm", 7, 4)]);
  // That was the first event of the next window.
  expect(repeated.passes(event("comm", 7, 5))).toBe(false);
  expect(repeated.startWindowIfDue(40)).toEqual([event("comm", 7, 5)]);
  expect(repeated.startWindowIfDue(60)).toEqual([]);
  expect(repeated.passes(event("comm", 7, 6))).toBe(true);
});

test("a waiting exec is not replaced by a renaming", () => {
  const repeated = new RepeatedEvents();
  repeated.startWindowIfDue(0);
  expect(repeated.passes(event("exec", 7))).toBe(true);
  expect(repeated.passes(event("exec", 7, 1))).toBe(false);
  expect(repeated.passes(event("comm", 7, 2))).toBe(false);
  expect(repeated.startWindowIfDue(20)).toEqual([event("exec", 7, 1)]);
});

test("every exit passes, and an exec after it is not merged with those before", () => {
  const repeated = new RepeatedEvents();
  repeated.startWindowIfDue(0);
  expect(repeated.passes(event("exec", 7, 1))).toBe(true);
  expect(repeated.passes(event("exec", 7, 2))).toBe(false);
  for (const _ of [1, 2]) expect(repeated.passes(event("exit", 7))).toBe(true);
  expect(repeated.passes(event("thread-exit", 7))).toBe(true);
  expect(repeated.passes(event("exec", 7, 3))).toBe(true);
  expect(repeated.startWindowIfDue(20)).toEqual([]);
});

test("ends of threads with the same status pass once until the first thread has ended", () => {
  const repeated = new RepeatedEvents();
  const threadExit = (pid: number, waitStatus: number) => ({ ...event("thread-exit", pid), waitStatus });
  repeated.startWindowIfDue(0);
  expect(repeated.passes(threadExit(7, 256))).toBe(true);
  expect(repeated.passes(threadExit(7, 256))).toBe(false);
  expect(repeated.passes(threadExit(8, 256))).toBe(true);
  expect(repeated.passes(threadExit(7, 512))).toBe(true);
  expect(repeated.passes(event("exit", 7))).toBe(true);
  expect(repeated.passes(threadExit(7, 512))).toBe(true);
  repeated.startWindowIfDue(20);
  expect(repeated.passes(threadExit(7, 512))).toBe(true);
});
