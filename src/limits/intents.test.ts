import { expect, test } from "bun:test";
import { INTENTS, intentLimits, isIntent } from "./intents.ts";
import { mergeLayers } from "./limits.ts";

test("an intent is a share of the CPU, and a disk priority only where a disk considers it", () => {
  expect(INTENTS.map((intent) => intentLimits(intent, false))).toEqual([
    { cpuWeight: 1000 },
    { cpuWeight: 1 },
    { cpuIdle: 1 },
  ]);
  expect(INTENTS.map((intent) => intentLimits(intent, true).ionice)).toEqual([
    undefined,
    { class: "best-effort", level: 7 },
    { class: "idle", level: 0 },
  ]);
});

test("any other word is no intent", () => {
  for (const word of ["Live", "live ", "", "recording", null, undefined]) expect(isIntent(word)).toBeFalse();
});

test("of a weight and cpu.idle, the more specific one applies alone", () => {
  const [live, , bestEffort] = INTENTS.map((intent) => intentLimits(intent, false));
  expect(mergeLayers({ cpuWeight: 50 }, bestEffort)).toEqual({ cpuIdle: 1 });
  expect(mergeLayers(bestEffort, { cpuWeight: 50 })).toEqual({ cpuWeight: 50 });
  expect(mergeLayers(bestEffort, live)).toEqual({ cpuWeight: 1000 });
  // It cancels a weight, and no other limit.
  expect(mergeLayers(bestEffort, { cpuWeight: "max" })).toEqual({ cpuIdle: 1 });
});
