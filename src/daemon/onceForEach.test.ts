import { expect, test } from "bun:test";
import { procTree, statLine } from "../../test/support/procTree.ts";
import { OnceForEach } from "./onceForEach.ts";

test("a process is reported once, and a later process with its pid once more", () => {
  using proc = procTree({});
  const once = new OnceForEach(proc.host);
  expect(once.isFirst({ pid: 7, startTicks: 1 })).toBeTrue();
  expect(once.isFirst({ pid: 7, startTicks: 1 })).toBeFalse();
  expect(once.isFirst({ pid: 7, startTicks: 2 })).toBeTrue();
  expect(once.isFirst({ pid: 8, startTicks: 2 })).toBeTrue();
});

test("many processes that have ended are forgotten, and those that run are not", () => {
  using proc = procTree({ "1/stat": statLine({ pid: 1, startTicks: 5 }) });
  const once = new OnceForEach(proc.host);
  for (let pid = 1; pid <= 20_000; pid++) once.isFirst({ pid, startTicks: 5 });
  expect(once.isFirst({ pid: 1, startTicks: 5 })).toBeFalse();
  expect(once.isFirst({ pid: 2, startTicks: 5 })).toBeTrue();
});
