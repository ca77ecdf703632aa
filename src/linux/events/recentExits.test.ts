import { expect, test } from "bun:test";
import { RecentExits } from "./recentExits.ts";

test("the last 256 exits are kept", () => {
  const exits = new RecentExits();
  for (let pid = 1; pid <= 300; pid++) exits.record(pid, pid * 256);
  expect(exits.of(300)).toBe(300 * 256);
  expect(exits.of(45)).toBe(45 * 256);
  expect(exits.of(44)).toBe("none");
});

test("a thread that ended with another status makes the exit conflicting", () => {
  const exits = new RecentExits();
  exits.record(5, 0);
  exits.recordThread(5, 0);
  expect(exits.of(5)).toBe(0);
  exits.recordThread(5, 0x500);
  expect(exits.of(5)).toBe("conflicting");
  exits.recordThread(6, 0x500);
  expect(exits.of(6)).toBe("none");
});

test("a forgotten exit is no longer reported", () => {
  const exits = new RecentExits();
  exits.record(5, 9);
  exits.forget(5);
  expect(exits.of(5)).toBe("none");
});
