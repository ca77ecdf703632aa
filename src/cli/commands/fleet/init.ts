import { parseHubAddresses } from "../../../fleet/hub/address.ts";
import { FleetDirectory, locateFleet } from "../../../fleet/hub/fleetDirectory.ts";
import { printOut } from "../../output/messages.ts";
import { renderPairs } from "../../output/table.ts";

export interface FleetFlags {
  dir?: string;
}

/** Makes the keys and the server configuration of a new fleet. */
export function init(hub: string, flags: FleetFlags): number {
  const addresses = parseHubAddresses(hub);
  const directory = new FleetDirectory(locateFleet(flags.dir));
  directory.create(addresses);
  const option = flags.dir === undefined ? "" : ` --dir ${flags.dir}`;
  printOut(`The keys of the fleet are in ${directory.path}. Keep a copy: they cannot be made again.\n`);
  printOut(
    renderPairs([
      ["to try it, start a hub on this machine", `ffrtmp fleet up${option}`],
      ["or start it as a service on another one", `copy ${directory.hub} there, then see docs/fleet.md`],
      ["then add a node", `ffrtmp fleet invite${option} NODE | ssh root@NODE ffrtmp fleet join --start -`],
    ]),
  );
  return 0;
}
