import { expect, test } from "bun:test";
import { weightOfNice } from "./planLimits.ts";

test("weightOfNice() returns the weights of the scheduler, in units of nice 0 = 100", () => {
  // sched_prio_to_weight: 88761 at −20, 1024 at 0, 110 at 10, 15 at 19
  expect(weightOfNice(-20)).toBe(8674);
  expect(weightOfNice(0)).toBe(100);
  expect(weightOfNice(10)).toBe(11);
  expect(weightOfNice(19)).toBe(1);
});
