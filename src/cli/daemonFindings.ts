import { version } from "../../package.json";
import { askDaemon } from "../daemon/askDaemon.ts";
import type { Context } from "../jobs/context.ts";
import { type Findings, withFindings } from "../metrics/findings.ts";
import type { JobUse } from "../metrics/jobUse.ts";

/** A daemon that is stopped must not delay everything else that is known. */
const ANSWER_TIMEOUT_MS = 300;

/**
 * Completes measurements of a moment with the speed, and with what holds each job back, as the daemon has found them. Without
 * a daemon of this version, and for another user than its own, they stay as they are.
 */
export async function addDaemonFindings(
  { state }: Pick<Context, "state">,
  uses: readonly JobUse[],
): Promise<JobUse[]> {
  const answer = await askDaemon(state, { request: "findings" }, ANSWER_TIMEOUT_MS);
  const isKnown = typeof answer === "object" && answer.ok && answer["ffrtmp_version"] === version;
  const findings = (isKnown ? answer["findings"] : {}) as Partial<Record<string, Findings>>;
  return uses.map((use) => {
    const known = findings[use.job.key];
    return known === undefined ? use : withFindings(use, known);
  });
}
