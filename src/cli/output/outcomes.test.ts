import { expect, test } from "bun:test";
import { describeOutcome } from "./outcomes.ts";

test("an outcome shows what is in force, and why that is not what was requested", () => {
  expect(describeOutcome({ limit: "cpu.max", outcome: "applied", wanted: "1", actual: "50000 100000" })).toBe(
    "applied 50000 100000",
  );
  expect(
    describeOutcome({
      limit: "memory.max",
      outcome: "partial",
      wanted: "1",
      actual: "64M",
      because: "new allocations only",
    }),
  ).toBe("partial 64M: new allocations only");
  expect(
    describeOutcome({ limit: "io.max", outcome: "unsupported", wanted: "1", because: "no controller" }),
  ).toBe("unsupported: no controller");
});
