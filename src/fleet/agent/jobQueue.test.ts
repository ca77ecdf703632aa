import { expect, test } from "bun:test";
import { headers } from "@nats-io/nats-core";
import { type Hub, SENT_AT } from "./hub.ts";
import { JobQueue } from "./jobQueue.ts";

test("a report that the hub did not store is sent again, and tells the clock then", async () => {
  const marks = headers();
  const storedAt = new Date(Date.now() + 60_000);
  const hub = {
    request: async () => ({ headers: marks }),
    repeatNode: () => {
      marks.set(SENT_AT, new Date().toISOString());
      marks.set("Nats-Time-Stamp", storedAt.toISOString());
    },
  };
  const queue = new JobQueue(hub as unknown as Hub, "edge-1");
  await expect(queue.readClock()).rejects.toThrow("no recent report");
  expect(await queue.readClock()).toBeGreaterThanOrEqual(storedAt.getTime());
}, 20_000);
