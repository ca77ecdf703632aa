import { FleetDirectory, locateFleet } from "../../../fleet/hub/fleetDirectory.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printOut } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { reloadHub } from "./reload.ts";

/** Removes a node from the fleet. Its jobs run on, and its results stay at the hub. */
export async function revoke(node: string, flags: FleetFlags): Promise<number> {
  const directory = new FleetDirectory(locateFleet(flags.dir));
  const { probe } = directory.removeNode(node);
  const code = await reloadHub(directory, probe, `${node} can still connect`);
  if (code === 0)
    printOut(oneLine(`${node} is cut off. Its jobs run on; its results so far stay at the hub.`));
  return code;
}
