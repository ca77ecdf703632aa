import { changeDesired, type DesiredChange } from "../../../fleet/hub/desired.ts";
import { unknownNode } from "../../../fleet/hub/fleetDirectory.ts";
import { OwnNode } from "../../../fleet/localCordon.ts";
import type { DesiredBody } from "../../../fleet/messages/control.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printOut, warn } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { operatorName, readReports } from "./operator.ts";
import { ringOf } from "./policyPush.ts";
import { checkNodeName, withHub } from "./session.ts";

export interface CordonFlags extends FleetFlags {
  reason: string;
  key?: string;
  config?: string;
}

const MAX_REASON_LENGTH = 500;

/** Keeps a node from claiming jobs: one of the fleet, or this machine itself, which needs no hub. */
export async function cordon(node: string | undefined, flags: CordonFlags): Promise<number> {
  const { reason } = flags;
  if (reason.trim() === "" || reason.length > MAX_REASON_LENGTH)
    throw new Refusal(`the reason must have 1 to ${MAX_REASON_LENGTH} characters`);
  if (node === undefined) {
    const own = new OwnNode(flags.config);
    own.cordon(reason, operatorName());
    printOut(oneLine(`this machine, node ${own.name}, claims no further jobs; its jobs run on`));
  } else {
    await changeNode(node, flags, { cordon: { reason } });
    printOut(oneLine(`${node} claims no further jobs once the cordon reaches it; its jobs run on`));
  }
  return 0;
}

/** Ends a cordon. Exit code 1: the node is still cordoned, by the operator of the fleet. */
export async function uncordon(
  node: string | undefined,
  flags: Omit<CordonFlags, "reason">,
): Promise<number> {
  if (node !== undefined) {
    await changeNode(node, flags, { cordon: null });
    printOut(oneLine(`${node} may claim jobs, unless root has cordoned it there`));
    return 0;
  }
  const own = new OwnNode(flags.config);
  const wasCordoned = own.uncordon();
  const { cordoned } = own;
  if (cordoned !== undefined) {
    warn(`this machine stays cordoned, by ${cordoned.by}: ${cordoned.reason}`);
    return 1;
  }
  printOut(`this machine ${wasCordoned ? "may claim jobs again" : "was not cordoned"}`);
  return 0;
}

/** Moves a node to another ring of policies, or back to the one of its own configuration. */
export async function assignRing(
  node: string,
  ring: string | undefined,
  flags: FleetFlags & { key?: string; reset?: boolean },
): Promise<number> {
  if ((ring === undefined) !== (flags.reset === true))
    throw new Refusal("name a ring, or --reset for the one of the node's own configuration");
  await changeNode(node, flags, { ring: ring === undefined ? null : ringOf(ring) });
  printOut(
    oneLine(
      `${node} belongs to ${ring === undefined ? "the ring of its configuration" : `the ring ${ring}`}`,
    ),
  );
  return 0;
}

/** Changes what is wanted of a node of the fleet. Throws a Refusal for a name that no node has. */
export function changeNode(
  node: string,
  flags: FleetFlags & { key?: string },
  change: DesiredChange,
): Promise<DesiredBody> {
  return withHub(flags, async (connection, directory) => {
    const names = Object.keys(directory.read().nodes);
    checkNodeName(node, names);
    if (!names.includes(node)) throw unknownNode(node, names);
    const key = directory.signingKey("policy", flags.key);
    const [reporting] = await readReports(connection, directory, node);
    return changeDesired(connection, key, node, reporting?.report, { ...change, by: operatorName() });
  });
}
