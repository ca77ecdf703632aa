import { expect, test } from "bun:test";
import { RecentExits } from "./recentExits.ts";

test("the last exits are remembered, older ones make room", () => {
  const exits = new RecentExits();
  for (let pid = 1; pid <= 300; pid++) exits.record(pid, pid * 256);
  expect(exits.of(300)).toBe(300 * 256);
  expect(exits.of(45)).toBe(45 * 256);
  expect(exits.of(44)).toBe("nothing");
});

test("a thread that ended otherwise than its process's first puts the status in doubt", () => {
  const exits = new RecentExits();
  exits.record(5, 0);
  exits.recordThread(5, 0);
  expect(exits.of(5)).toBe(0);
  exits.recordThread(5, 0x500);
  expect(exits.of(5)).toBe("disputed");
  exits.recordThread(6, 0x500);
  expect(exits.of(6)).toBe("nothing");
});

test("a pid that runs another program has not ended", () => {
  const exits = new RecentExits();
  exits.record(5, 9);
  exits.forget(5);
  expect(exits.of(5)).toBe("nothing");
});
