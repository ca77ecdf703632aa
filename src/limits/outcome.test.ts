import { expect, test } from "bun:test";
import { type LimitOutcome, refusedInstead } from "./outcome.ts";

const partial: LimitOutcome = {
  limit: "memory.max",
  of: "tenant",
  outcome: "partial",
  wanted: "64",
  actual: "60",
  because: "the kernel has 60",
};

test("a limit that is refused instead keeps its name, and neither value nor reason", () => {
  const because = "it could not be moved";
  expect(refusedInstead(partial, because)).toEqual({
    limit: "memory.max",
    of: "tenant",
    outcome: "refused",
    wanted: "64",
    because,
  });
});

test("an outcome without what it must say does not compile", () => {
  const request = { limit: "nice", wanted: "5" } as const;
  const outcomes: LimitOutcome[] = [
    // @ts-expect-error Applied needs the value in the kernel.
    { ...request, outcome: "applied" },
    // @ts-expect-error Partial needs a reason.
    { ...request, outcome: "partial", actual: "4" },
    // @ts-expect-error Refused needs a reason.
    { ...request, outcome: "refused" },
    // @ts-expect-error Unsupported has no value in the kernel.
    { ...request, outcome: "unsupported", because: "no controller", actual: "4" },
  ];
  expect(outcomes).toHaveLength(4);
});
