import { expect, test } from "bun:test";
import { someJob, someProcess, someResult } from "../../../test/support/jobs.ts";
import { useLedgers } from "../../../test/support/ledgers.ts";
import type { JobResult } from "../model/ending.ts";
import type { RunningJob } from "../model/job.ts";
import { percentOf, slaRates } from "./slaRates.ts";

const { open } = useLedgers();
let pid = 1;

/** Returns a ledger with jobs, each with its result. */
function withJobs(...jobs: [Partial<RunningJob>, Partial<JobResult>][]) {
  const { ledger } = open();
  for (const [different, result] of jobs) {
    const process = someProcess({ pid: pid++ });
    const job = someJob({ slaEligible: true, jobId: `job-${process.pid}`, process, ...different });
    ledger.register(job);
    ledger.recordResult(job, someResult(job, { endMs: 1000, ...result }));
  }
  return ledger;
}

const violation = (slaReason: string): Partial<JobResult> => ({ slaCompliant: false, slaReason });

test("only eligible jobs that ended in the period count, and the start belongs to it", () => {
  const ledger = withJobs(
    [{}, { endMs: 999 }],
    [{}, { endMs: 1000 }],
    [{}, { endMs: 1999, ...violation("exit_unknown") }],
    [{}, { endMs: 2000 }],
    [{ slaEligible: false }, { endMs: 1500 }],
  );
  const { overall, notEligible } = slaRates(ledger, 1000, 2000);
  expect(overall).toMatchObject({ eligible: 2, compliant: 1, violations: 1 });
  expect(notEligible).toBe(1);
});

test("tenants are in the order of their rates, and reasons in that of their counts", () => {
  const ledger = withJobs(
    [{ tenant: "good" }, {}],
    [{ tenant: "bad" }, violation("exit_unknown")],
    [{ tenant: "bad" }, violation("ended_unobserved")],
    [{ tenant: "bad" }, violation("ended_unobserved")],
    [{ tenant: null }, {}],
  );
  const { tenants, overall } = slaRates(ledger, 0, 2000);
  expect([...tenants.keys()]).toEqual(["bad", null, "good"]);
  expect([...overall.reasons]).toEqual([
    ["ended_unobserved", 2],
    ["exit_unknown", 1],
  ]);
  expect([...slaRates(ledger, 0, 2000, { tenant: "good" }).tenants.keys()]).toEqual(["good"]);
});

test("a rate is 100 % only where no job violated, and unknown where none ended", () => {
  const rate = (eligible: number, compliant: number) =>
    percentOf({ eligible, compliant, violations: eligible - compliant, reasons: new Map() });
  expect([rate(1_000_000, 999_999), rate(3, 2), rate(5, 5), rate(0, 0)]).toEqual([99.99, 66.66, 100, null]);
});
