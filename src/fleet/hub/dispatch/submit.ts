import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../../jobs/errors.ts";
import type { SigningKey } from "../../keys/signingKey.ts";
import type { JobBody, Offer } from "../../messages/job.ts";
import { type SignedDocument, signDocument } from "../../messages/signed.ts";
import { CLAIMS, JOBS, jobSubject, submissionSubject } from "../../messages/subjects.ts";
import type { Submission } from "../../messages/submission.ts";
import { stateOfJob } from "./attempts.ts";
import { type JobRecords, readClaims, requireDispatch } from "./readJobs.ts";
import { storeOnce } from "./storeOnce.ts";

/**
 * `submitted`: it is new, and in the queue. `already submitted`: an earlier call has submitted the same job; it is in the queue if
 * no node has claimed it. `refused`: the id is that of another job.
 */
export interface Submitted {
  readonly id: string;
  readonly outcome: "submitted" | "already submitted" | "refused";
  /** Why it was refused. */
  readonly reason: string | null;
}

/** How many jobs are on their way to the hub at once. */
const AT_ONCE = 32;
const OFFER_TIMEOUT_MS = 5000;
const TRIES = 3;

/**
 * Submits jobs, so that a call whose answer was lost can be repeated. The record of the submission decides: an id has one, which
 * the hub stores by compare-and-set. A repeated call finds it, and offers the job that it contains if that is missing. An offer
 * that is in the queue twice is no harm, because an attempt is claimed once. Returns the outcomes in the order of the jobs.
 */
export async function submitJobs(
  connection: NatsConnection,
  jobs: readonly JobBody[],
  key: SigningKey,
): Promise<Submitted[]> {
  requireDispatch(connection);
  const isNew = await inGroups(jobs, async (job) => {
    const document = signDocument("job", job, key);
    const submission: Submission = { v: 1, job: document };
    const isStored = await storeOnce(connection, CLAIMS, submissionSubject(job.id), submission);
    if (isStored) await offerAttempt(connection, job.pool, 1, document);
    return isStored;
  });
  const repeated = jobs.filter((_, index) => !isNew[index]).map(({ id }) => id);
  const found = repeated.length === 0 ? undefined : await readClaims(connection, { jobs: repeated });
  return inGroups(jobs, async (job, index): Promise<Submitted> => {
    if (isNew[index] || found === undefined) return { id: job.id, outcome: "submitted", reason: null };
    return repeatSubmission(connection, job, found);
  });
}

async function repeatSubmission(
  connection: NatsConnection,
  job: JobBody,
  { records, hubNowMs }: JobRecords,
): Promise<Submitted> {
  const record = records.get(job.id);
  const { job: earlier, document } = record ?? {};
  const refuse = (reason: string): Submitted => ({ id: job.id, outcome: "refused", reason });
  if (record === undefined || earlier === undefined || document === undefined)
    return refuse("the id was used for a job that this release cannot read");
  const difference = differenceOf(earlier, job);
  if (difference !== undefined)
    return refuse(`the id was used for another job at ${earlier.at}, which differs in ${difference}`);
  // The call that recorded it may have ended before it offered the job.
  if (stateOfJob(record, hubNowMs) === "missing") await offerAttempt(connection, earlier.pool, 1, document);
  return { id: job.id, outcome: "already submitted", reason: null };
}

/** Calls `work` for all items, for some at once, and returns the answers in their order. */
async function inGroups<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const answers: R[] = [];
  for (let from = 0; from < items.length; from += AT_ONCE) {
    const group = items.slice(from, from + AT_ONCE);
    answers.push(...(await Promise.all(group.map((item, index) => work(item, from + index)))));
  }
  return answers;
}

/** Puts an attempt into the queue of its pool. */
export async function offerAttempt(
  connection: NatsConnection,
  pool: string,
  attempt: number,
  job: SignedDocument,
): Promise<void> {
  const offer: Offer = { v: 1, attempt, job };
  try {
    await jetstream(connection, { checkAPI: false }).publish(jobSubject(pool), JSON.stringify(offer), {
      timeout: OFFER_TIMEOUT_MS,
      retries: TRIES,
      expect: { streamName: JOBS },
    });
  } catch (error) {
    throw new Refusal(
      `the job is recorded, and whether it is in the queue is not known: ${(error as Error).message}`,
      "run the same command again: it offers the job if it is missing",
    );
  }
}

/** Returns the key in which two jobs differ for the nodes. When and by whom they were submitted is no difference. */
function differenceOf(earlier: JobBody, job: JobBody): string | undefined {
  const contentOf = ({ pool, template, params, attempts, rerun, labels }: JobBody) => ({
    pool,
    template,
    params,
    attempts,
    rerun,
    labels,
  });
  const [a, b] = [contentOf(earlier), contentOf(job)];
  return Object.keys(a).find((key) => !Bun.deepEquals(a[key as keyof typeof a], b[key as keyof typeof b]));
}
