import { expect, test } from "bun:test";
import { realHost } from "../host.ts";
import { startBestEvents } from "./bestEvents.ts";
import type { ProcessEvent } from "./processEvents.ts";

const START_BEST = new URL("../../../test/support/programs/startBestEvents.ts", import.meta.url).pathname;

test("the best source is started, and says why no better one was", async () => {
  const told: ProcessEvent[] = [];
  const { events, missing } = await startBestEvents(realHost(), 20, (batch) => told.push(...batch));
  try {
    expect(missing.length === 0).toBe(events.source === "connector");
    const child = Bun.spawn(["sleep", "0.2"]);
    while (!told.some((event) => event.kind === "exec" && event.pid === child.pid)) await Bun.sleep(5);
    await child.exited;
  } finally {
    await events.stop();
  }
});

const isRoot = process.getuid?.() === 0;
if (!isRoot)
  process.stderr.write("not tried: the fallback from the connector: hiding the connector takes root\n");

test.skipIf(!isRoot)("without the connector it is polling, with ends told at once", () => {
  const { stdout } = Bun.spawnSync(["unshare", "--net", process.execPath, START_BEST]);
  expect(JSON.parse(stdout.toString())).toMatchObject({
    source: "polling",
    tells: { exec: "by scan", exit: "at once" },
    missing: [expect.stringContaining("initial network namespace")],
  });
});
