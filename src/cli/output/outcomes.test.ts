import { expect, test } from "bun:test";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { outcomePairs } from "./outcomes.ts";

test("an outcome shows what is in force, and why that is not what was requested", () => {
  const outcomes: LimitOutcome[] = [
    { limit: "cpu.max", outcome: "applied", wanted: "1", actual: "50000 100000" },
    { limit: "memory.max", outcome: "partial", wanted: "1", actual: "64M", because: "new allocations only" },
    { limit: "io.max", of: "tenant", outcome: "unsupported", wanted: "1", because: "no controller" },
  ];
  expect(outcomePairs({ outcomes })).toEqual([
    ["cpu.max", "applied 50000 100000"],
    ["memory.max", "partial 64M: new allocations only"],
    ["tenant's io.max", "unsupported: no controller"],
  ]);
});
