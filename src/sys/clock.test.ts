import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { readMonotonicToWallUsec } from "./clock.ts";

test("the offset added to the time since boot is the time of day", () => {
  const uptimeMs = Number.parseFloat(readFileSync("/proc/uptime", "utf8")) * 1000;
  const wallMs = readMonotonicToWallUsec() / 1000 + uptimeMs;
  // Far off when the machine was suspended, which the time since boot counts and the monotonic clock does not
  expect(wallMs).toBeGreaterThan(Date.now() - 5000);
});
