import { expect, test } from "bun:test";
import { getFileLimits, setSoftFileLimit } from "./rlimit.ts";

test("setSoftFileLimit() changes the soft limit, leaves the hard one, and children inherit it", () => {
  const before = getFileLimits();
  if (before.soft === "max") throw new Error("this test expects a bounded soft limit on open files");
  try {
    expect(setSoftFileLimit(777)).toBe(0);
    expect(getFileLimits()).toEqual({ soft: 777n, hard: before.hard });
    const child = Bun.spawnSync(["grep", "Max open files", "/proc/self/limits"]);
    expect(child.stdout.toString()).toMatch(/^Max open files\s+777\s/);
  } finally {
    expect(setSoftFileLimit(before.soft)).toBe(0);
  }
  expect(getFileLimits()).toEqual(before);
});

test("setSoftFileLimit() above the hard limit answers −EINVAL and changes nothing", () => {
  const before = getFileLimits();
  if (before.hard === "max") return;
  expect(setSoftFileLimit(before.hard + 1n)).toBe(-22);
  expect(getFileLimits()).toEqual(before);
});
