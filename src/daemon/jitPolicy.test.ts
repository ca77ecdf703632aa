import { expect, test } from "bun:test";
import { DaemonEvents } from "./events.ts";
import { compileWhileBusy } from "./jitPolicy.ts";
import type { DaemonCounts } from "./status.ts";

const NOT_USED = {} as DaemonCounts;

test("the compiler is turned up while there are jobs, and each change is made once", () => {
  const bus = new DaemonEvents();
  const scales: number[] = [];
  compileWhileBusy(bus, (scale) => void scales.push(scale));
  for (const jobs of [0, 3, 2, 0, 0, 1])
    bus.emit({ kind: "counted", jobs, source: "connector", isPolicyValid: true, counts: NOT_USED });
  expect(scales).toEqual([20, 1, 20, 1]);
});
