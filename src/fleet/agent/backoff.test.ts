import { expect, test } from "bun:test";
import { Backoff } from "./backoff.ts";

test("waits double up to the longest, and begin again after a success", () => {
  const backoff = new Backoff(1000, 5000);
  for (const most of [1000, 2000, 4000, 5000, 5000]) {
    const waitMs = backoff.nextMs();
    expect(waitMs).toBeGreaterThanOrEqual(most / 2);
    expect(waitMs).toBeLessThanOrEqual(most);
  }
  backoff.reset();
  expect(backoff.nextMs()).toBeLessThanOrEqual(1000);
});
