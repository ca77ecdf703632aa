import type { z } from "zod";
import type { returnJson } from "../../../json/fleetSchemas.ts";
import type { NodeMessage } from "../../messages/node.ts";
import type { StreamPart } from "../readStream.ts";

export type ReturnJson = z.input<typeof returnJson>;

/**
 * Returns which nodes have sent their claims again since a hub was restored. `sinceMs`: when the queues were closed, by the clock
 * of the hub. A report from before that is one of the backup.
 */
export function listReturns(
  names: readonly string[],
  { messages }: StreamPart<NodeMessage>,
  sinceMs: number,
): ReturnJson[] {
  const latest = new Map(messages.map((each) => [each.node, each]));
  return names.toSorted().map((node) => {
    const report = latest.get(node);
    const at = report === undefined ? null : new Date(report.atMs).toISOString();
    const answer = (isBack: boolean, reason: string | null): ReturnJson => ({
      node,
      is_back: isBack,
      last_report: at,
      reason,
    });
    if (report === undefined) return answer(false, "the backup has no report of it, and none has come");
    if (report.atMs < sinceMs) return answer(false, "it has not reported since");
    const { claims, dispatch, at: nodeTime } = report.message ?? {};
    if (claims === undefined) return answer(false, "its agent does not say whether the hub has its claims");
    if (claims.known === 0) return answer(true, null);
    // Both times are by the clock of the node, which can be wrong.
    const ageMs = Date.parse(nodeTime ?? "") - Date.parse(claims.confirmed ?? "");
    if (report.atMs - ageMs >= sinceMs) return answer(true, null);
    const why = dispatch?.why ?? null;
    return answer(false, `it has not compared its claims since${why === null ? "" : `: ${why}`}`);
  });
}
