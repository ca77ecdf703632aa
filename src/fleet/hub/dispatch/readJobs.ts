import { JetStreamError, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../../jobs/errors.ts";
import { attemptId, claimMessage, lossMessage, offerMessage } from "../../messages/job.ts";
import { nodeMessage } from "../../messages/node.ts";
import { parseJson } from "../../messages/parseJson.ts";
import {
  CLAIMS,
  claimSubject,
  JOBS,
  lossSubject,
  OPERATOR,
  submissionSubject,
} from "../../messages/subjects.ts";
import { submissionMessage, withdrawalMessage } from "../../messages/submission.ts";
import { listJobs, listNodes } from "../nodes.ts";
import { type RawMessage, readMessages, readStream } from "../readStream.ts";
import { attemptOnNode, listResults, storedResults } from "../results.ts";
import { lacksDispatch } from "../serverVersion.ts";
import {
  addClaim,
  addLoss,
  addResults,
  addRunning,
  attemptOf,
  type JobRecord,
  openJob,
  parseAttemptSubject,
  recordOf,
} from "./attempts.ts";

/** The jobs to read from the hub. */
export interface JobScope {
  /** Only these jobs. */
  readonly jobs?: readonly string[] | undefined;
  /** Only jobs with a claim of this node. Jobs without one are read too. */
  readonly node?: string | undefined;
  /** Only what the hub stored then or later: ms since the epoch. */
  readonly sinceMs?: number | undefined;
}

export interface JobRecords {
  readonly records: Map<string, JobRecord>;
  readonly hubNowMs: number;
}

const BATCH = 500;
/** The server compares each message with each subject of a filter. */
const MAX_FILTERED_JOBS = 100;

/** Throws a Refusal where the hub can hand out no jobs. */
export function requireDispatch(connection: NatsConnection): void {
  const lacks = lacksDispatch(connection);
  if (lacks !== undefined) throw new Refusal(lacks, "install nats-server 2.11 or later on the hub");
}

/**
 * Reads what the hub has of jobs: what was submitted, what is in the queue, who has claimed what, and what is lost. The queue is
 * read first: an attempt that leaves it meanwhile is found by its claim.
 */
export async function readClaims(
  connection: NatsConnection,
  { jobs, node, sinceMs }: JobScope = {},
): Promise<JobRecords> {
  requireDispatch(connection);
  const records = new Map<string, JobRecord>();
  const queue = await readQueue(connection);
  const ids = jobs === undefined || jobs.length > MAX_FILTERED_JOBS ? ["*"] : jobs;
  const subjects =
    node !== undefined
      ? [claimSubject("*", "*", node), lossSubject("*", "*", node)]
      : ids.flatMap((id) => [submissionSubject(id), claimSubject(id, "*", "*"), lossSubject(id, "*", "*")]);
  const { messages, hubNowMs } = await readMessages(connection, CLAIMS, subjects, { sinceMs });
  for (const message of messages) addRecord(records, message);
  const only = jobs === undefined ? undefined : new Set(jobs);
  for (const message of queue) addOffer(records, message, only);
  for (const record of records.values()) {
    const claimed = [...record.attempts.values()].map(({ claim }) => claim?.offer);
    record.document = [record.document, ...claimed].find((each) => openJob(each, record.id) !== undefined);
    record.job = openJob(record.document, record.id);
  }
  return { records, hubNowMs };
}

/** The same, with what the nodes report as running and what they have sent as ended. */
export async function readJobs(
  connection: NatsConnection,
  knownNodes: readonly string[],
  scope: JobScope = {},
): Promise<JobRecords> {
  const { records, hubNowMs } = await readClaims(connection, scope);
  const { node, sinceMs } = scope;
  const reports = await readStream(connection, "NODES", nodeMessage, { node, onlyLast: true });
  addRunning(records, listJobs(listNodes(new Set(knownNodes), reports), reports));
  // A result comes after its claim, and its time in the stream is by the same clock.
  const results = await readStream(connection, "RESULTS", storedResults, { node, sinceMs });
  addResults(records, listResults(results, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY).results);
  return { records, hubNowMs };
}

/** Reads of which attempts an operator has stated that they are lost, by `attemptOnNode`. */
export async function readStatedLosses(connection: NatsConnection, sinceMs: number): Promise<Set<string>> {
  if (lacksDispatch(connection) !== undefined) return new Set();
  const { messages } = await readMessages(connection, CLAIMS, [lossSubject("*", "*", "*")], { sinceMs });
  return new Set(
    messages.flatMap(({ subject, json }) => {
      const parts = parseAttemptSubject(subject);
      const by = lossMessage.safeParse(json).data?.by;
      return parts === undefined || typeof by !== "string"
        ? []
        : [attemptOnNode(parts.node, attemptId(parts.job, parts.attempt))];
    }),
  );
}

/** Reads the queue without taking anything out of it. */
async function readQueue(connection: NatsConnection): Promise<RawMessage[]> {
  const manager = await jetstreamManager(connection);
  const found: RawMessage[] = [];
  for (let seq = 1; ; ) {
    const before = found.length;
    const options = { seq, batch: BATCH, next_by_subj: "ffrtmp.>" };
    try {
      for await (const message of await manager.direct.getBatch(JOBS, options)) {
        const { subject, seq: number, timestamp, data } = message;
        found.push({ subject, seq: number, atMs: Date.parse(timestamp), data, json: parseJson(data) });
      }
    } catch (error) {
      // The client throws at the end of a stream.
      if (!(error instanceof JetStreamError && /message not found/.test(error.message))) throw error;
    }
    if (found.length === before) return found;
    seq = (found.at(-1)?.seq ?? 0) + 1;
  }
}

function addRecord(records: Map<string, JobRecord>, { subject, atMs, json }: RawMessage): void {
  if (subject.startsWith(submissionSubject(""))) {
    const record = recordOf(records, subject.slice(submissionSubject("").length));
    record.submittedMs = atMs;
    record.document = submissionMessage.safeParse(json).data?.job;
    return;
  }
  const parts = parseAttemptSubject(subject);
  if (parts === undefined) return;
  const { kind, job, node } = parts;
  const attempt = attemptOf(recordOf(records, job), parts.attempt);
  if (kind === "loss") {
    const { data: loss } = lossMessage.safeParse(json);
    const { reason = "stated", why = "in a form that this release does not know", by = null } = loss ?? {};
    addLoss(attempt, { node, atMs, reason, why, by });
  } else if (node === OPERATOR)
    attempt.withdrawn = { atMs, by: withdrawalMessage.safeParse(json).data?.by ?? "an operator" };
  else addClaim(attempt, { node, atMs, offer: claimMessage.safeParse(json).data?.offer });
}

function addOffer(
  records: Map<string, JobRecord>,
  { seq, atMs, json }: RawMessage,
  only: ReadonlySet<string> | undefined,
): void {
  const { data: offer } = offerMessage.safeParse(json);
  if (offer === undefined) return;
  const id = idOf(offer.job.body);
  if (id === undefined || (only !== undefined && !only.has(id)) || openJob(offer.job, id) === undefined)
    return;
  const record = recordOf(records, id);
  record.document ??= offer.job;
  const attempt = attemptOf(record, offer.attempt);
  attempt.offeredMs ??= atMs;
  attempt.offerSeq ??= seq;
}

function idOf(body: string): string | undefined {
  const json = parseJson(new TextEncoder().encode(body)) as { id?: unknown } | undefined;
  return typeof json?.id === "string" ? json.id : undefined;
}
