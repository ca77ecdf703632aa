import { FleetDirectory, locateFleet, type SigningPurpose } from "../../../fleet/hub/fleetDirectory.ts";
import { printOut } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";

/** Prints the public part of a key of the operator, which nodes trust. */
export function key(purpose: SigningPurpose, flags: FleetFlags & { key?: string }): number {
  printOut(new FleetDirectory(locateFleet(flags.dir)).signingKey(purpose, flags.key).publicKey);
  return 0;
}
