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

test("a job that another process has taken over since it was read keeps that observer", () => {
  const owner = openOwner();
  owner.start(10, 1);
  const seen = owner.govern(10, {});
  owner.start(20, 1);
  const taker = { bootId: owner.context.bootId, pid: 20, startTicks: 100 };
  expect(owner.context.ledger.takeOver(seen, taker)).toBeDefined();
  expect(repairJob(owner.context, seen)).toBe("observed");
  expect(owner.context.ledger.job(seen.key)).toMatchObject({ state: "running", observer: taker });
});
