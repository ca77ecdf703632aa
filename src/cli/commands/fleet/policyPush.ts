import { publishPolicy } from "../../../fleet/hub/publishPolicy.ts";
import { DEFAULT_RING, isNodeName, NODE_NAME } from "../../../fleet/nodeConfig.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { faultText } from "../../../policy/file/fault.ts";
import { ANY_MACHINE, loadFleetPolicy } from "../../../policy/file/fleetPolicy.ts";
import { readPolicyFile } from "../../../policy/file/read.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printFaults } from "../../output/faults.ts";
import { printError, printOut, warn } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { operatorName, readReports } from "./operator.ts";
import { checkRolloutFlags, type RolloutFlags, waitForRollout } from "./rollout.ts";
import { withHub } from "./session.ts";

export interface PushFlags extends FleetFlags, RolloutFlags {
  ring?: string;
  percent: number;
  /** ms. */
  expires: number;
  key?: string;
}

/** As of `ffrtmp policy check`. */
const INVALID = 2;

/** Checks, signs and stores a policy for a ring of nodes. With --wait, exit code 0 says that the ring has taken it. */
export async function pushPolicy(file: string, flags: PushFlags): Promise<number> {
  const ring = ringOf(flags.ring);
  checkRolloutFlags(flags);
  const yaml = checkedText(file);
  if (yaml === undefined) return INVALID;
  return withHub(flags, async (connection, directory) => {
    const key = directory.signingKey("policy", flags.key);
    const nodes = await readReports(connection, directory);
    const { expires, percent } = flags;
    const choice = { yaml, percent, notAfterMs: Date.now() + expires, by: operatorName() };
    const { body, digest, implausible } = await publishPolicy(connection, key, ring, nodes, () => choice);
    warnOfSerials(implausible);
    printOut(oneLine(`serial ${body.serial} is the policy of the ring ${ring}${shareText(percent)}`));
    return waitForRollout(connection, directory, { ...body, digest }, flags);
  });
}

/** Returns the ring that an option names. Throws a Refusal for what no ring can be called, such as a wildcard of subjects. */
export function ringOf(ring = DEFAULT_RING): string {
  if (isNodeName(ring)) return ring;
  throw new Refusal(`${JSON.stringify(ring)} is not the name of a ring: ${NODE_NAME}`);
}

export function warnOfSerials(implausible: readonly string[]): void {
  for (const source of implausible) warn(`no fleet counts as far as the serial of ${source}: it is left out`);
}

export function shareText(percent: number): string {
  return percent === 100 ? "" : `, for ${percent} % of its nodes`;
}

/** Returns the text of a policy file that nodes can use; `undefined` after its faults have been printed. */
function checkedText(file: string): string | undefined {
  const read = readPolicyFile(file);
  if ("unreadable" in read) throw new Refusal(`${file} ${read.unreadable}`);
  // The disks, users and programs of this machine say nothing about those of the nodes.
  const loaded = loadFleetPolicy(read.text, file, ANY_MACHINE);
  if (!("faults" in loaded)) {
    for (const warning of loaded.warnings) warn(`${faultText(file, warning)}; perhaps: ${warning.right}`);
    return read.text;
  }
  const what = loaded.isForbidden ? "cannot be the policy of a fleet" : "cannot be used";
  printError(`${file} ${what}: ${loaded.faults.length} ${loaded.faults.length === 1 ? "error" : "errors"}`);
  printFaults(file, loaded.faults);
  return undefined;
}
