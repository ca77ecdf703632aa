import { expect, test } from "bun:test";
import { createSigningKey } from "../../keys/signingKey.ts";
import type { JobBody } from "../../messages/job.ts";
import { signDocument } from "../../messages/signed.ts";
import {
  type Attempt,
  addClaim,
  addLoss,
  addRunning,
  attemptOf,
  type JobRecord,
  lastAttempt,
  openJob,
  parseAttemptSubject,
  recordOf,
  stateOfAttempt,
  stateOfJob,
} from "./attempts.ts";

const NOW = Date.parse("2026-11-28T12:00:00Z");
const LATER = "2026-11-28T13:00:00.000Z";
const claim = { node: "edge-1", atMs: NOW - 1000, offer: undefined };
const result = { outcome: "succeeded" } as Attempt["result"] & object;
const loss = (by: string | null, reason: "rebooted" | "stated" | "expired" = "rebooted") => ({
  node: "edge-1",
  atMs: NOW,
  why: "",
  by,
  reason,
});

function someJob(different: Partial<JobBody> = {}): JobBody {
  return {
    v: 1,
    id: "a",
    pool: "live",
    template: "hls",
    params: {},
    attempts: 2,
    not_before: null,
    not_after: LATER,
    rerun: "never",
    labels: {},
    by: "o",
    at: LATER,
    ...different,
  };
}

function recordWith(job: JobBody | undefined, ...attempts: Attempt[]): JobRecord {
  return { id: "a", job, attempts: new Map(attempts.map((each) => [each.attempt, each])) };
}

test("what a node states about an attempt of another one is not believed, before the claim and after it", () => {
  const foreign = { ...loss(null, "expired"), node: "edge-2" };
  for (const isFirst of [true, false]) {
    const attempt: Attempt = { attempt: 1, runningOn: "edge-1" };
    if (isFirst) addLoss(attempt, foreign);
    addClaim(attempt, claim);
    addClaim(attempt, { ...claim, node: "edge-2" });
    if (!isFirst) addLoss(attempt, foreign);
    expect(stateOfAttempt(attempt, NOW, NOW)).toBe("running");
    addLoss(attempt, loss(null));
    expect(stateOfAttempt(attempt, NOW, NOW)).toBe("lost");
  }
  const unclaimed: Attempt = { attempt: 1 };
  addLoss(unclaimed, foreign);
  expect(stateOfAttempt(unclaimed, NOW, NOW)).toBe("expired");
});

test.each<[Omit<Attempt, "attempt">, string]>([
  [{ offeredMs: NOW }, "offered"],
  [{ claim, offeredMs: NOW }, "claimed"],
  [{ claim, runningOn: "edge-1" }, "running"],
  [{ claim, runningOn: "edge-1", result }, "ended"],
  [{ claim, result }, "ended"],
  [{ claim, loss: loss(null) }, "lost"],
  // The result of a node that has stated the loss itself says nothing about the work.
  [{ claim, loss: loss(null), result }, "lost"],
  [{ claim, loss: loss("o", "stated") }, "lost"],
  [{ claim, loss: loss("o", "stated"), result }, "superseded"],
  [{ loss: loss(null, "expired") }, "expired"],
  [{ withdrawn: { by: "o", atMs: NOW }, offeredMs: NOW }, "cancelled"],
])("an attempt with %j is %s", (attempt, state) => {
  expect(stateOfAttempt({ attempt: 1, ...attempt }, Date.parse(LATER), NOW)).toBe(state as never);
});

test("an offer that no node may claim any more is expired, and a claim is not", () => {
  const past = NOW - 1;
  expect(stateOfAttempt({ attempt: 1, offeredMs: 1 }, past, NOW)).toBe("expired");
  expect(stateOfAttempt({ attempt: 1, claim }, past, NOW)).toBe("claimed");
});

test("the state of a job is that of its last attempt, of those that it may have", () => {
  const first = { attempt: 1, claim, loss: loss(null) };
  expect(stateOfJob(recordWith(someJob()), NOW)).toBe("missing");
  expect(stateOfJob(recordWith(someJob()), Date.parse(LATER))).toBe("expired");
  expect(stateOfJob(recordWith(undefined), NOW)).toBe("missing");
  expect(stateOfJob(recordWith(someJob(), first), NOW)).toBe("lost");
  expect(stateOfJob(recordWith(someJob(), first, { attempt: 2, offeredMs: NOW }), NOW)).toBe("offered");
  const beyond = { attempt: 3, claim };
  expect(lastAttempt(recordWith(someJob(), first, beyond))?.attempt).toBe(1);
  expect(lastAttempt(recordWith(someJob()))).toBeUndefined();
});

test("a job is read from a document that is signed, and for its own id", () => {
  const document = signDocument("job", someJob(), createSigningKey());
  expect(openJob(document, "a")).toEqual(someJob());
  expect(openJob(document, "b")).toBeUndefined();
  expect(openJob({ ...document, body: document.body.replace("hls", "sh") }, "a")).toBeUndefined();
  expect(openJob(undefined, "a")).toBeUndefined();
});

test("only the node that has claimed an attempt can have it running", () => {
  const records = new Map<string, JobRecord>();
  attemptOf(recordOf(records, "a"), 1).claim = claim;
  addRunning(records, [{ node: "edge-2", job_id: "a.1" }]);
  expect(records.get("a")?.attempts.get(1)?.runningOn).toBeUndefined();
  addRunning(records, [{ node: "edge-1", job_id: "a.1" }]);
  expect(records.get("a")?.attempts.get(1)?.runningOn).toBe("edge-1");
});

test("subjects of attempts are read, and others are not", () => {
  expect(parseAttemptSubject("ffrtmp.claim.a.2.edge-1")).toEqual({
    kind: "claim",
    job: "a",
    attempt: 2,
    node: "edge-1",
  });
  for (const subject of ["ffrtmp.claim.a.x.edge-1", "ffrtmp.claim.a.0.edge-1", "ffrtmp.claim.a.1e9x.n", "x"])
    expect(parseAttemptSubject(subject)).toBeUndefined();
});
