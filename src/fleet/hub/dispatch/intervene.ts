import { JetStreamApiError, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../../jobs/errors.ts";
import { attemptId, type Loss } from "../../messages/job.ts";
import { CLAIMS, claimSubject, JOBS, lossSubject, OPERATOR } from "../../messages/subjects.ts";
import type { Withdrawal } from "../../messages/submission.ts";
import { readMessages } from "../readStream.ts";
import { type Attempt, type JobRecord, lastAttempt, stateOfJob } from "./attempts.ts";
import { storeOnce } from "./storeOnce.ts";
import { offerAttempt } from "./submit.ts";

/** The operator who intervenes, and the time of the hub in ms since the epoch. */
export interface Operator {
  readonly by: string;
  readonly hubNowMs: number;
}

/** An attempt that a node has claimed, and of which neither an end nor a loss is known. */
export interface LiveClaim {
  readonly record: JobRecord;
  readonly attempt: Attempt;
  readonly node: string;
}

/** Returns the attempts that would be lost with a node, or those of one job. */
export function liveClaims(
  records: ReadonlyMap<string, JobRecord>,
  { node, job }: { node?: string | undefined; job?: string | undefined },
): LiveClaim[] {
  return [...records.values()]
    .filter(({ id }) => job === undefined || id === job)
    .flatMap((record) =>
      [...record.attempts.values()].flatMap((attempt) => {
        const { claim, loss, result } = attempt;
        const isLive = claim !== undefined && loss === undefined && result === undefined;
        return isLive && (node === undefined || claim.node === node)
          ? [{ record, attempt, node: claim.node }]
          : [];
      }),
    );
}

/** The consequence of a statement. `offered`: the next attempt is in the queue. */
export type LossOutcome = "offered" | "no attempt left" | "not to be run again" | "expired" | "unreadable";

/** States that an attempt is lost, and offers the next one if the job wants that. An attempt has one statement at most. */
export async function stateLoss(
  connection: NatsConnection,
  { record, attempt, node }: LiveClaim,
  why: string,
  { by, hubNowMs }: Operator,
): Promise<LossOutcome> {
  const { id, job, document } = record;
  const name = { job: id, attempt: attempt.attempt };
  const loss: Loss = { v: 1, ...name, node, reason: "stated", why, by, at: new Date(hubNowMs).toISOString() };
  await storeOnce(connection, CLAIMS, lossSubject(id, attempt.attempt, node), loss);
  if (job === undefined || document === undefined) return "unreadable";
  if (job.rerun === "never") return "not to be run again";
  if (attempt.attempt >= job.attempts) return "no attempt left";
  if (hubNowMs >= Date.parse(job.not_after)) return "expired";
  await offerAttempt(connection, job.pool, attempt.attempt + 1, document);
  return "offered";
}

/**
 * Offers the next attempt of a job whose last one is over, or its first one again where the hub has lost it. Returns the number of
 * the attempt. Throws a Refusal; then nothing has changed.
 */
export async function requeue(
  connection: NatsConnection,
  record: JobRecord,
  hubNowMs: number,
): Promise<number> {
  const { id, job, document } = record;
  if (job === undefined || document === undefined)
    throw new Refusal(`the hub has no signed job ${id}`, "submit it again under another id");
  const last = lastAttempt(record);
  const state = stateOfJob(record, hubNowMs);
  const another = "submit it under another id: ffrtmp fleet submit";
  if (hubNowMs >= Date.parse(job.not_after))
    throw new Refusal(`${id} has expired at ${job.not_after}, and no node would claim it`, another);
  if (state === "offered") throw new Refusal(`${id} is in the queue already`, "ffrtmp fleet queue");
  if (state === "cancelled") throw new Refusal(`${id} was cancelled`, another);
  if (state === "claimed" || state === "running")
    throw new Refusal(
      `${last?.claim?.node} has ${attemptId(id, last?.attempt ?? 1)}, and it may run`,
      "look at the machine; if it can never run there any more, add --lost",
    );
  if (last?.result?.outcome === "succeeded" && last.loss === undefined)
    throw new Refusal(`${id} has succeeded`, another);
  const next = (last?.attempt ?? 0) + 1;
  if (next > job.attempts)
    throw new Refusal(`${id} was submitted with --attempts ${job.attempts}, and all are used`, another);
  await offerAttempt(connection, job.pool, next, document);
  return next;
}

/**
 * Withdraws a job that no node has claimed: the operator claims the attempt in place of a node, so that it is too late for all of
 * them. `claimed`: a node was faster.
 */
export async function cancel(
  connection: NatsConnection,
  record: JobRecord,
  { by, hubNowMs }: Operator,
): Promise<"cancelled" | "claimed"> {
  const last = lastAttempt(record);
  const attempt = last?.attempt ?? 1;
  const withdrawal: Withdrawal = { v: 1, job: record.id, attempt, by, at: new Date(hubNowMs).toISOString() };
  const subject = claimSubject(record.id, attempt, OPERATOR);
  const isStored = await storeOnce(
    connection,
    CLAIMS,
    subject,
    withdrawal,
    claimSubject(record.id, attempt, "*"),
  );
  // An earlier try of this call, whose answer was lost, can have stored it, or another operator.
  if (!isStored && !(await hasMessage(connection, subject))) return "claimed";
  if (last?.offerSeq !== undefined) await removeOffer(connection, last.offerSeq);
  return "cancelled";
}

async function hasMessage(connection: NatsConnection, subject: string): Promise<boolean> {
  return (await readMessages(connection, CLAIMS, [subject])).messages.length > 0;
}

/** For tidiness alone: no node can claim it. */
async function removeOffer(connection: NatsConnection, seq: number): Promise<void> {
  try {
    await (await jetstreamManager(connection)).streams.deleteMessage(JOBS, seq);
  } catch (error) {
    // A node has received and dropped it meanwhile.
    if (!(error instanceof JetStreamApiError)) throw error;
  }
}
