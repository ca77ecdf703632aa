import { expect, test } from "bun:test";
import { realHost } from "../host.ts";
import { startBestEvents } from "./bestEvents.ts";
import type { ProcessEvent } from "./processEvents.ts";

const START_BEST = new URL("../../../test/support/programs/startBestEvents.ts", import.meta.url).pathname;

test("startBestEvents() starts the best source and says why no better one is available", async () => {
  const received: ProcessEvent[] = [];
  const { events, unavailable } = await startBestEvents(realHost(), 20, (batch) => received.push(...batch));
  try {
    expect(unavailable.length === 0).toBe(events.source === "connector");
    const child = Bun.spawn(["sleep", "0.2"]);
    while (!received.some((event) => event.kind === "exec" && event.pid === child.pid)) await Bun.sleep(5);
    await child.exited;
  } finally {
    await events.stop();
  }
});

const isRoot = process.getuid?.() === 0;
if (!isRoot)
  process.stderr.write("not tried: the fallback from the connector: hiding the connector takes root\n");

test.skipIf(!isRoot)(
  "startBestEvents() falls back to polling with pidfds where there is no connector",
  () => {
    const { stdout } = Bun.spawnSync(["unshare", "--net", process.execPath, START_BEST]);
    expect(JSON.parse(stdout.toString())).toMatchObject({
      source: "polling",
      exit: "at once",
      unavailable: [expect.stringContaining("initial network namespace")],
    });
  },
);
