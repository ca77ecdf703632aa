import { expect, test } from "bun:test";
import { allocatedBetween } from "./pidCursor.ts";

const PID_MAX = 32_768;

test("only the pids between the two cursors may be new", () => {
  const span = allocatedBetween({ forks: 10, lastPid: 400 }, { forks: 13, lastPid: 403 }, PID_MAX);
  expect([400, 401, 403, 404].map((pid) => span.has(pid))).toEqual([false, true, true, false]);
  expect(span.pids()).toEqual([401, 402, 403]);
  expect(span.size).toBe(3);
});

test("no pid may be new when the cursor has not moved", () => {
  const span = allocatedBetween({ forks: 10, lastPid: 400 }, { forks: 11, lastPid: 400 }, PID_MAX);
  expect([span.pids(), span.has(400), span.has(401)]).toEqual([[], false, false]);
});

test("the cursor may have started a new round", () => {
  const span = allocatedBetween({ forks: 10, lastPid: 32_700 }, { forks: 90, lastPid: 312 }, PID_MAX);
  const pids = [32_700, 32_701, 300, 312, 313];
  expect(pids.map((pid) => span.has(pid))).toEqual([false, true, true, true, false]);
  const listed = new Set(span.pids());
  expect(pids.map((pid) => listed.has(pid))).toEqual([false, true, true, true, false]);
  expect(span.size).toBe(listed.size);
});

test("after so many forks that the cursor may have passed any pid, all may be new", () => {
  const span = allocatedBetween({ forks: 0, lastPid: 400 }, { forks: 17_000, lastPid: 401 }, PID_MAX);
  expect(span.has(9000)).toBe(true);
  expect(span.size).toBe(PID_MAX);
});

test("without the counters of the kernel, all pids may be new", () => {
  const known = { forks: 1, lastPid: 1 };
  expect(allocatedBetween({ ...known, lastPid: undefined }, known, PID_MAX).has(5)).toBe(true);
  expect(allocatedBetween(known, { ...known, forks: undefined }, PID_MAX).has(5)).toBe(true);
});
