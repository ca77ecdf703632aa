import { expect, test } from "bun:test";
import { someJob } from "../../test/support/jobs.ts";
import { someUse } from "../../test/support/samples.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { DaemonEvents } from "./events.ts";
import { Health } from "./health.ts";

/** The health of a daemon without any trouble of its own. */
function healthy(): Health {
  const context = {
    bus: new DaemonEvents(),
    ledger: { flush: () => 0 },
    store: { faults: [], policy: {} },
    options: { events: { choice: "polling" } },
    host: { bootNow: () => 0 },
  };
  return new Health(context as unknown as DaemonContext);
}

test("a job that is short of CPU is a warning, which counts the others", () => {
  const need = { cores: 0.4, sampleSeconds: 1, isWhileKeepingUp: true };
  const short = (jobId: string) => someUse(someJob({ jobId }), {}, { shares: { sureCores: 0.22, need } });
  expect(healthy().problems("polling", [])).toEqual([]);
  const unknown = someUse(someJob({ jobId: "live-6" }), {}, { shares: { sureCores: null, need } });
  expect(healthy().problems("polling", [unknown])).toEqual([]);
  expect(healthy().problems("polling", [unknown, short("live-7")])).toMatchObject([
    { text: expect.stringMatching(/^live-7 is sure of 0.22 cores.*; and 1 more/) },
  ]);
  expect(healthy().problems("polling", [short("live-7"), short("live-8")])).toEqual([
    {
      severity: "warning",
      kind: "jobs-short-of-cpu",
      text: "live-7 is sure of 0.22 cores and needs 0.40: it will fall behind when the machine is full; and 1 more, see ffrtmp stats",
    },
  ]);
});
