import { drainState } from "../../../fleet/hub/drainState.ts";
import { formatDuration } from "../../../jobs/duration.ts";
import { firstSignal } from "../../../sys/ownSignals.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { signalNumber } from "../../../sys/waitStatus.ts";
import { printErr, printOut, warn } from "../../output/messages.ts";
import { type CordonFlags, changeNode } from "./cordon.ts";
import { readReports } from "./operator.ts";
import { withHub } from "./session.ts";

interface DrainFlags extends Omit<CordonFlags, "reason" | "config"> {
  reason?: string;
  wait?: boolean;
  /** ms. */
  timeout?: number;
}

const POLL_MS = 1000;
/** As timeout(1). */
const TIMED_OUT = 124;

/** Cordons a node, and with --wait waits until the jobs that the fleet gave it have ended. It ends none. */
export async function drain(node: string, flags: DrainFlags): Promise<number> {
  const desired = await changeNode(node, flags, { cordon: { reason: flags.reason ?? "drain" } });
  printOut(oneLine(`${node} claims no further jobs once the cordon reaches it; its jobs run on`));
  if (!flags.wait) return 0;
  const interrupted = firstSignal();
  const endMs = performance.now() + (flags.timeout ?? Number.POSITIVE_INFINITY);
  return withHub(flags, async (connection, directory) => {
    let shown = "";
    for (;;) {
      const [reporting] = await readReports(connection, directory, node);
      const state = drainState(reporting?.report, desired.serial);
      const isSilent = reporting?.node.state !== "up";
      const text = `${isSilent ? `${node} is ${reporting?.node.state ?? "not known"}: ` : ""}${state.text}`;
      if (text !== shown) printErr(oneLine(`  ${text}`));
      shown = text;
      if (state.isDrained && !isSilent) {
        printOut(oneLine(`${node} is drained: no job of the fleet runs or is claimed there${state.others}`));
        return 0;
      }
      if (performance.now() >= endMs) {
        warn(
          `no longer waiting after ${formatDuration(flags.timeout ?? 0)}; ${node} stays cordoned: ${text}`,
        );
        return TIMED_OUT;
      }
      const signal = await Promise.race([interrupted, Bun.sleep(POLL_MS)]);
      if (signal === undefined) continue;
      warn(
        `${signal}: no longer waiting; ${node} stays cordoned. To end that: ffrtmp fleet uncordon ${node}`,
      );
      return 128 + (signalNumber(signal) ?? 0);
    }
  });
}
