import type { NatsConnection } from "@nats-io/nats-core";
import type { FleetDirectory } from "../../../fleet/hub/fleetDirectory.ts";
import { readStream } from "../../../fleet/hub/readStream.ts";
import { listResults, storedResults } from "../../../fleet/hub/results.ts";
import {
  countStates,
  listRollout,
  type NodeRollout,
  type RolledOut,
  stateCountsText,
} from "../../../fleet/hub/rollout.ts";
import { formatDuration } from "../../../jobs/duration.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { firstSignal } from "../../../sys/ownSignals.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { signalNumber } from "../../../sys/waitStatus.ts";
import { printErr, printOut, warn } from "../../output/messages.ts";
import { readReports } from "./operator.ts";

export interface RolloutFlags {
  /** ms. */
  wait?: number;
  /** From 0 to 1. */
  maxViolations?: number;
}

const POLL_MS = 1000;
/** The clocks of nodes and of this machine differ. */
const CLOCK_MARGIN_MS = 60_000;
const NOT_TAKEN = 1;

/** Throws a Refusal before anything is pushed. */
export function checkRolloutFlags({ wait, maxViolations }: RolloutFlags): void {
  if (maxViolations !== undefined && wait === undefined)
    throw new Refusal("--max-violations is about the time of --wait", "add --wait 10m");
}

/**
 * Waits until each node of a ring that reports has taken a policy or refused it, and with --max-violations to the end of the
 * time, because violations need jobs that end. Returns the exit code: 0 where the ring has taken it. Without --wait, it waits
 * for nothing.
 */
export async function waitForRollout(
  connection: NatsConnection,
  directory: FleetDirectory,
  policy: RolledOut,
  { wait: waitMs, maxViolations }: RolloutFlags,
): Promise<number> {
  if (waitMs === undefined) return 0;
  const interrupted = firstSignal();
  const endMs = performance.now() + waitMs;
  const sinceMs = Date.now();
  let shown = "";
  for (;;) {
    const nodes = listRollout(policy, await readReports(connection, directory));
    const text = stateCountsText(nodes);
    if (text !== shown) printErr(oneLine(`  ring ${policy.ring}: ${text}`));
    shown = text;
    const violations =
      maxViolations === undefined ? undefined : await readViolations(connection, nodes, sinceMs);
    if (violations !== undefined && violations.rate > (maxViolations ?? 1)) {
      warn(
        `${violations.text}: more than allowed. To take it back: ffrtmp fleet policy rollback --ring ${policy.ring}`,
      );
      return NOT_TAKEN;
    }
    const { waiting, refused, unsupported, applied } = countStates(nodes);
    const isSettled = waiting === 0 && applied > 0;
    const isOver = performance.now() >= endMs;
    if (refused + unsupported > 0 || isOver || (isSettled && maxViolations === undefined))
      return conclude(policy, nodes, { isOver, waitMs, violations: violations?.text });
    const signal = await Promise.race([interrupted, Bun.sleep(POLL_MS)]);
    if (signal === undefined) continue;
    warn(`${signal}: no longer waiting; the policy stays. See ffrtmp fleet policy status`);
    return 128 + (signalNumber(signal) ?? 0);
  }
}

function conclude(
  { ring, serial }: RolledOut,
  nodes: readonly NodeRollout[],
  { isOver, waitMs, violations }: { isOver: boolean; waitMs: number; violations: string | undefined },
): number {
  for (const { node, state, why } of nodes)
    if (why !== null && state !== "applied") printErr(oneLine(`  ${node}: ${state}: ${why}`));
  const { waiting, refused, unsupported, applied, silent } = countStates(nodes);
  if (refused + unsupported + waiting > 0 || applied === 0) {
    const when = isOver ? ` after ${formatDuration(waitMs)}` : "";
    warn(`the ring ${ring} has not taken serial ${serial}${when}: ${stateCountsText(nodes)}`);
    return NOT_TAKEN;
  }
  const later =
    silent === 0 ? "" : `; ${silent} silent ${silent === 1 ? "node takes" : "nodes take"} it when back`;
  const judged = violations === undefined ? "" : `; ${violations}`;
  printOut(oneLine(`the ring ${ring} has taken serial ${serial}: ${applied} applied${judged}${later}`));
  return 0;
}

/** Counts the eligible jobs that have ended since on nodes with the policy. */
async function readViolations(
  connection: NatsConnection,
  nodes: readonly NodeRollout[],
  sinceMs: number,
): Promise<{ rate: number; text: string }> {
  const applied = new Set(nodes.filter(({ state }) => state === "applied").map(({ node }) => node));
  const part = await readStream(connection, "RESULTS", storedResults, { sinceMs: sinceMs - CLOCK_MARGIN_MS });
  const ended = listResults(part, sinceMs, Date.now() + CLOCK_MARGIN_MS).results.filter(
    ({ node, sla_eligible: isEligible }) => isEligible && applied.has(node),
  );
  const violations = ended.filter(({ platform_sla_compliant: is }) => !is).length;
  const rate = ended.length === 0 ? 0 : violations / ended.length;
  return { rate, text: `${violations} of ${ended.length} jobs in violation` };
}
