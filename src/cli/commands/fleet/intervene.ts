import type { JobRecord } from "../../../fleet/hub/dispatch/attempts.ts";
import { lastAttempt, stateOfJob } from "../../../fleet/hub/dispatch/attempts.ts";
import {
  cancel,
  type LiveClaim,
  type LossOutcome,
  liveClaims,
  requeue,
  stateLoss,
} from "../../../fleet/hub/dispatch/intervene.ts";
import { readJobs } from "../../../fleet/hub/dispatch/readJobs.ts";
import { unknownNode } from "../../../fleet/hub/fleetDirectory.ts";
import { listNodes } from "../../../fleet/hub/nodes.ts";
import { readStream } from "../../../fleet/hub/readStream.ts";
import { attemptId } from "../../../fleet/messages/job.ts";
import { nodeMessage } from "../../../fleet/messages/node.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printErr, printOut, warn } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { operatorName } from "./operator.ts";
import { checkJobId, unknownJob } from "./queue.ts";
import { checkNodeName, withHub } from "./session.ts";

interface LostFlags extends FleetFlags {
  job?: string;
  why?: string;
  yes?: boolean;
  evenIfUp?: boolean;
}

const DEFAULT_WHY = "the node is gone";

/** States that the jobs of a node are lost with it. Without --yes it only says which these are. */
export async function lost(node: string, flags: LostFlags): Promise<number> {
  checkJobId(flags.job);
  return withHub(flags, async (connection, directory) => {
    const names = Object.keys(directory.read().nodes);
    checkNodeName(node, names);
    // All claims of a node, however old: it can have been silent for long.
    const { records, hubNowMs } = await readJobs(connection, names, { node });
    const claims = liveClaims(records, { node, job: flags.job });
    const isKnown = names.includes(node) || hasClaims(records, node);
    if (!isKnown) throw unknownNode(node, names);
    if (claims.length === 0) {
      printOut(
        `${node} has claimed no ${flags.job === undefined ? "job" : `attempt of ${flags.job}`} whose end or loss is not known`,
      );
      return 0;
    }
    const reports = await readStream(connection, "NODES", nodeMessage, { node, onlyLast: true });
    const [described] = listNodes(new Set(names), reports).filter((each) => each.node === node);
    const isUp = described !== undefined && ["up", "failing", "refused"].includes(described.state);
    if (isUp && flags.yes && !flags.evenIfUp)
      throw new Refusal(
        `${node} has reported ${Math.round(described.last_report_age_seconds ?? 0)} s ago: it may run these jobs, and states its losses itself`,
        "look at the machine; to state them all the same, add --even-if-up",
      );
    if (!flags.yes) {
      for (const claim of claims) printOut(oneLine(describe(claim)));
      printErr(
        "ffrtmp: nothing was stated. A job that is stated lost can run a second time, if its node comes back and runs it",
      );
      printErr(
        `  try: the same command with --yes${isUp && !flags.evenIfUp ? " --even-if-up: the node is up" : ""}`,
      );
      return 1;
    }
    for (const claim of claims) {
      const outcome = await stateLoss(connection, claim, flags.why ?? DEFAULT_WHY, operator(hubNowMs));
      printOut(oneLine(`${idOf(claim)} is stated lost; ${AFTERWARDS[outcome](claim)}`));
    }
    return 0;
  });
}

/** A node that was revoked can have claims. */
function hasClaims(records: ReadonlyMap<string, JobRecord>, node: string): boolean {
  return [...records.values()].some(({ attempts }) =>
    [...attempts.values()].some(({ claim }) => claim?.node === node),
  );
}

const AFTERWARDS: Record<LossOutcome, (claim: LiveClaim) => string> = {
  offered: ({ record, attempt }) => `offered again as ${attemptId(record.id, attempt.attempt + 1)}`,
  "no attempt left": () => "all its attempts are used",
  "not to be run again": ({ record }) => `to offer it again: ffrtmp fleet requeue ${record.id}`,
  expired: () => "it has expired, and is not offered again",
  unreadable: () => "the hub has no signed job of it, so it cannot be offered again",
};

function describe({ record, attempt, node }: LiveClaim): string {
  const at = attempt.claim === undefined ? "" : ` at ${new Date(attempt.claim.atMs).toISOString()}`;
  const running = attempt.runningOn === undefined ? "" : ", and reported it as running last";
  return `${attemptId(record.id, attempt.attempt)}: ${node} has claimed it${at}${running}`;
}

function idOf({ record, attempt }: LiveClaim): string {
  return attemptId(record.id, attempt.attempt);
}

/** Offers a job again. */
export async function requeueJob(
  job: string,
  flags: FleetFlags & { lost?: boolean; why?: string },
): Promise<number> {
  return withJob(job, flags, async (connection, record, hubNowMs) => {
    const claims = flags.lost ? liveClaims(new Map([[job, record]]), { job }) : [];
    let isOffered = false;
    for (const claim of claims) {
      const { node, attempt } = claim;
      const loss = {
        node,
        atMs: hubNowMs,
        reason: "stated" as const,
        why: flags.why ?? DEFAULT_WHY,
        by: operator(hubNowMs).by,
      };
      isOffered =
        (await stateLoss(connection, claim, loss.why, operator(hubNowMs))) === "offered" || isOffered;
      attempt.loss = loss;
      printOut(oneLine(`${idOf(claim)} on ${node} is stated lost`));
    }
    const attempt = isOffered
      ? (lastAttempt(record)?.attempt ?? 0) + 1
      : await requeue(connection, record, hubNowMs);
    printOut(oneLine(`${job} is offered as ${attemptId(job, attempt)}`));
    return 0;
  });
}

/** Withdraws a job that no node has claimed. */
export async function cancelJob(job: string, flags: FleetFlags): Promise<number> {
  return withJob(job, flags, async (connection, record, hubNowMs) => {
    const state = stateOfJob(record, hubNowMs);
    if (state === "cancelled") {
      printOut(`${job} was cancelled already`);
      return 0;
    }
    if (state !== "offered" && state !== "missing") {
      const node = lastAttempt(record)?.claim?.node;
      throw new Refusal(
        `${job} cannot be cancelled: it ${state === "ended" ? "has" : "is"} ${state}${node === undefined ? "" : ` on ${node}`}`,
        state === "claimed" || state === "running"
          ? "ffrtmp ends no job that has started; ffrtmp inspect on the node shows its process"
          : `ffrtmp fleet queue ${job}`,
      );
    }
    if ((await cancel(connection, record, operator(hubNowMs))) === "cancelled") {
      printOut(`${job} is cancelled: no node can claim it any more`);
      return 0;
    }
    warn(`${job} is not cancelled: a node has claimed it meanwhile`);
    printErr(`  try: ffrtmp fleet queue ${job}`);
    return 1;
  });
}

function withJob(
  job: string,
  flags: FleetFlags,
  use: (connection: Parameters<typeof readJobs>[0], record: JobRecord, hubNowMs: number) => Promise<number>,
): Promise<number> {
  checkJobId(job);
  return withHub(flags, async (connection, directory) => {
    const { records, hubNowMs } = await readJobs(connection, Object.keys(directory.read().nodes), {
      jobs: [job],
    });
    const record = records.get(job);
    if (record === undefined) throw unknownJob(job);
    return use(connection, record, hubNowMs);
  });
}

function operator(hubNowMs: number): { by: string; hubNowMs: number } {
  return { by: operatorName(), hubNowMs };
}
