import { expect, test } from "bun:test";
import { useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { repairJob } from "./recover.ts";

const { openOwner } = useGovernedFakes();

/** Returns a job whose process has ended, with an observer that is dead. */
function endedWithItsObserver() {
  const owner = openOwner();
  owner.start(10, 1);
  const job = owner.govern(10, {});
  owner.reuse(10);
  return { context: owner.context, job };
}

test("a job that ended together with its observer is recorded as unobserved", () => {
  const { context, job } = endedWithItsObserver();
  expect(repairJob(context, job)).toBe("closed");
  expect(context.ledger.result(job)?.ending.kind).toBe("unobserved");
});

test("the end of a job that this process watches too is left to its exit event", () => {
  const { context, job } = endedWithItsObserver();
  expect(repairJob(context, job, true)).toBe("left");
  expect(context.ledger.result(job)).toBeUndefined();
});
