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

const { hard } = getFileLimits();
if (hard === "max")
  console.log("not tried: a soft limit above the hard one: open files are not limited here");

test.skipIf(hard === "max")(
  "setSoftFileLimit() above the hard limit answers −EINVAL and changes nothing",
  () => {
    const before = getFileLimits();
    expect(setSoftFileLimit((hard as bigint) + 1n)).toBe(-22);
    expect(getFileLimits()).toEqual(before);
  },
);
