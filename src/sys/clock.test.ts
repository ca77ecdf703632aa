import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { readMonotonicToWallUsec } from "./clock.ts";

test("the monotonic clock plus the offset is the wall clock", () => {
  const uptimeMs = Number.parseFloat(readFileSync("/proc/uptime", "utf8")) * 1000;
  const wallMs = readMonotonicToWallUsec() / 1000 + uptimeMs;
  // Only a lower bound: /proc/uptime counts the time of a suspension, the monotonic clock does not.
  expect(wallMs).toBeGreaterThan(Date.now() - 5000);
});
