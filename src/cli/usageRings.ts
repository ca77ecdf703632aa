import { askDaemon } from "../daemon/askDaemon.ts";
import type { Context } from "../jobs/context.ts";
import { isOpen, type Job } from "../jobs/model/job.ts";
import type { Hindrance } from "../metrics/hindrance/hindrance.ts";
import { decodeHistory, type StoredHistory } from "../metrics/history/encoding.ts";
import { RINGS, type RingName } from "../metrics/history/jobHistory.ts";

/** A daemon that is stopped must not delay everything else that is known about the job. */
const ANSWER_TIMEOUT_MS = 300;

/** Returns whether a daemon answers: asking a silent one about each of many jobs would take long. */
export async function doesDaemonAnswer({ state }: Context): Promise<boolean> {
  return typeof (await askDaemon(state, { request: "status" }, ANSWER_TIMEOUT_MS)) !== "string";
}

/** The use of resources by a job until now, and what holds it back. */
interface AskedUsage {
  readonly rings: Partial<Record<RingName, StoredHistory>>;
  readonly hindrance: Hindrance | null;
}

/**
 * Returns what the job has used until now and what holds it back, if a daemon observes it; else its life as the ledger has it.
 * `asksDaemon`: false where no daemon answers.
 */
export async function askUsage(
  { ledger, state }: Context,
  job: Job,
  { asksDaemon = true } = {},
): Promise<AskedUsage> {
  const recorded = ledger.usageHistory(job);
  const life = recorded && decodeHistory(recorded);
  const answer =
    asksDaemon && isOpen(job)
      ? await askDaemon(state, { request: "usage", job: job.key }, ANSWER_TIMEOUT_MS)
      : "absent";
  const known: Record<string, unknown> = typeof answer === "string" || !answer.ok ? {} : answer;
  const rings = (known["rings"] ?? {}) as Record<string, unknown>;
  const hindrance = (known["hindrance"] ?? null) as Hindrance | null;
  const present = RINGS.flatMap((name) => {
    const ring =
      typeof rings[name] === "string" ? decodeHistory(Buffer.from(rings[name], "base64")) : undefined;
    return ring === undefined ? [] : [[name, ring]];
  });
  return { rings: { ...(life && { life }), ...Object.fromEntries(present) }, hindrance };
}
