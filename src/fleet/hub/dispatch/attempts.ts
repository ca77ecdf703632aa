import { attemptId, type JobBody, jobBody, type Loss, MAX_ATTEMPTS } from "../../messages/job.ts";
import { isDocumentFault, openDocument, type SignedDocument } from "../../messages/signed.ts";
import type { FleetResult } from "../results.ts";

/** The messages of the hub about one attempt. */
export interface Attempt {
  readonly attempt: number;
  /** When it was put into the queue where it still is: ms since the epoch, by the clock of the hub. */
  offeredMs?: number;
  /** Its number in the queue. */
  offerSeq?: number;
  claim?: { readonly node: string; readonly atMs: number; readonly offer: SignedDocument | undefined };
  /** The operator who withdrew it, and when. */
  withdrawn?: { readonly by: string; readonly atMs: number };
  loss?: Pick<Loss, "reason" | "why" | "by"> & { readonly node: string; readonly atMs: number };
  result?: FleetResult;
  /** The node that reports it as starting or running. */
  runningOn?: string;
}

/** The messages of the hub about one job. */
export interface JobRecord {
  readonly id: string;
  submittedMs?: number | undefined;
  /** As the operator submitted it, or as a node claimed it. */
  document?: SignedDocument | undefined;
  /** `undefined`: the hub has no document of it that is signed. */
  job?: JobBody | undefined;
  /** By their numbers, which rise. */
  readonly attempts: Map<number, Attempt>;
}

/**
 * `offered`: it waits in the queue. `claimed`: a node has it, and has not reported it as running. `lost`: that is stated, and no
 * further attempt is offered. `missing`: it was submitted, and is neither in the queue nor claimed.
 */
export type JobState =
  | "offered"
  | "claimed"
  | "running"
  | "ended"
  | "lost"
  | "expired"
  | "cancelled"
  | "missing";

/** `superseded`: an operator had stated its loss when its result arrived. */
export type AttemptState = Exclude<JobState, "missing"> | "superseded";

export const OPEN_STATES: readonly JobState[] = ["offered", "claimed", "running", "lost", "missing"];

export function stateOfAttempt(attempt: Attempt, notAfterMs: number, nowMs: number): AttemptState {
  const { claim, withdrawn, loss, result, runningOn } = attempt;
  if (withdrawn !== undefined) return "cancelled";
  if (loss !== undefined) {
    if (loss.reason === "expired" && claim === undefined) return "expired";
    // A node that states a loss itself has a result that says nothing about the work.
    return result !== undefined && loss.by !== null ? "superseded" : "lost";
  }
  if (result !== undefined) return "ended";
  if (claim !== undefined) return runningOn === undefined ? "claimed" : "running";
  return nowMs >= notAfterMs ? "expired" : "offered";
}

/** Returns the last attempt that the job may have; `undefined`: the hub has none. */
export function lastAttempt({ attempts, job }: JobRecord): Attempt | undefined {
  // A node can claim what was never offered.
  const numbers = [...attempts.keys()].filter((number) => number <= (job?.attempts ?? MAX_ATTEMPTS));
  return attempts.get(Math.max(...numbers));
}

export function stateOfJob(record: JobRecord, nowMs: number): JobState {
  const notAfterMs = record.job === undefined ? Number.POSITIVE_INFINITY : Date.parse(record.job.not_after);
  const last = lastAttempt(record);
  if (last === undefined) return nowMs >= notAfterMs ? "expired" : "missing";
  const state = stateOfAttempt(last, notAfterMs, nowMs);
  return state === "superseded" ? "ended" : state;
}

/** Returns the content of a signed document for the job of this id, whatever its key is: nodes check the key. */
export function openJob(document: SignedDocument | undefined, id: string): JobBody | undefined {
  if (document === undefined) return undefined;
  const job = openDocument(document, "job", jobBody, new Set([document.key]));
  return isDocumentFault(job) || job.id !== id ? undefined : job;
}

export function recordOf(records: Map<string, JobRecord>, id: string): JobRecord {
  const found = records.get(id) ?? { id, attempts: new Map<number, Attempt>() };
  records.set(id, found);
  return found;
}

export function attemptOf(record: JobRecord, attempt: number): Attempt {
  const found = record.attempts.get(attempt) ?? { attempt };
  record.attempts.set(attempt, found);
  return found;
}

/**
 * Adds a claim. The first one counts: a node that does not compare could write another one. What another node has stated about the
 * attempt is not about this claim.
 */
export function addClaim(attempt: Attempt, claim: NonNullable<Attempt["claim"]>): void {
  if (attempt.claim !== undefined) return;
  attempt.claim = claim;
  if (attempt.loss?.node !== claim.node) delete attempt.loss;
}

/**
 * Adds a loss, which the node with the claim states, or an operator in its place. Another node can find an offer again that is
 * claimed and has expired, because its acknowledgement was lost; and each node can write under its own name.
 */
export function addLoss(attempt: Attempt, loss: NonNullable<Attempt["loss"]>): void {
  if (attempt.claim === undefined || attempt.claim.node === loss.node) attempt.loss = loss;
}

/** Adds the ends of attempts. Only the node that claimed an attempt can have its result. */
export function addResults(records: ReadonlyMap<string, JobRecord>, results: readonly FleetResult[]): void {
  const byId = new Map(results.map((result) => [`${result.node} ${result.job_id}`, result]));
  for (const each of eachAttempt(records)) {
    const result = byId.get(`${each.attempt.claim?.node} ${attemptId(each.id, each.attempt.attempt)}`);
    if (result !== undefined) each.attempt.result = result;
  }
}

/** Adds the attempts that nodes report as starting or running. */
export function addRunning(
  records: ReadonlyMap<string, JobRecord>,
  jobs: readonly { readonly node: string; readonly job_id: string }[],
): void {
  const running = new Set(jobs.map(({ node, job_id: id }) => `${node} ${id}`));
  for (const { id, attempt } of eachAttempt(records)) {
    const node = attempt.claim?.node;
    if (node !== undefined && running.has(`${node} ${attemptId(id, attempt.attempt)}`))
      attempt.runningOn = node;
  }
}

function* eachAttempt(records: ReadonlyMap<string, JobRecord>): Generator<{ id: string; attempt: Attempt }> {
  for (const { id, attempts } of records.values())
    for (const attempt of attempts.values()) yield { id, attempt };
}

/** Splits `ffrtmp.claim.<job>.<attempt>.<node>`; `undefined`: no attempt has this number. */
export function parseAttemptSubject(
  subject: string,
): { kind: string; job: string; attempt: number; node: string } | undefined {
  const [, kind = "", job = "", number = "", node = ""] = subject.split(".");
  const attempt = Number(number);
  return Number.isInteger(attempt) && attempt >= 1 ? { kind, job, attempt, node } : undefined;
}
