import { expect, test } from "bun:test";
import { mayHaveBeenGiven } from "./pidCursor.ts";

const PID_MAX = 32_768;

test("only the pids between the two cursors may be new", () => {
  const isSuspect = mayHaveBeenGiven({ forks: 10, lastPid: 400 }, { forks: 13, lastPid: 403 }, PID_MAX);
  expect([400, 401, 403, 404].map(isSuspect)).toEqual([false, true, true, false]);
});

test("the cursor may have come round", () => {
  const isSuspect = mayHaveBeenGiven({ forks: 10, lastPid: 32_700 }, { forks: 90, lastPid: 312 }, PID_MAX);
  expect([32_700, 32_701, 300, 312, 313].map(isSuspect)).toEqual([false, true, true, true, false]);
});

test("after so many forks that it may have passed any pid, all are suspect", () => {
  const isSuspect = mayHaveBeenGiven({ forks: 0, lastPid: 400 }, { forks: 17_000, lastPid: 401 }, PID_MAX);
  expect(isSuspect(9000)).toBe(true);
});

test("where the kernel does not tell, all are suspect", () => {
  const known = { forks: 1, lastPid: 1 };
  expect(mayHaveBeenGiven({ ...known, lastPid: undefined }, known, PID_MAX)(5)).toBe(true);
  expect(mayHaveBeenGiven(known, { ...known, forks: undefined }, PID_MAX)(5)).toBe(true);
});
