import { parseHubAddresses } from "../../../fleet/hub/address.ts";
import { connectAsAdmin } from "../../../fleet/hub/admin.ts";
import { explainFailure } from "../../../fleet/hub/connection.ts";
import { FleetDirectory, locateFleet } from "../../../fleet/hub/fleetDirectory.ts";
import { duringGrowth } from "../../../fleet/hub/growthLock.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printErr, printOut } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { reloadHub } from "./reload.ts";

const NEXT = "the same command again; to leave the hub as it is: ffrtmp fleet restore --finish";

/** Saves the streams of a hub with one server, and makes the files of a hub of several, which `fleet setup` gives them to. */
export async function grow(hub: string, flags: FleetFlags): Promise<number> {
  const addresses = parseHubAddresses(hub);
  const directory = new FleetDirectory(locateFleet(flags.dir));
  directory.checkGrowth(addresses);
  // Also gives the operator the rights for what follows, which an earlier release has not.
  const closed = directory.closeForGrowth();
  const code = await reloadHub(directory, closed, "the queues are not closed, and the hub stays as it is");
  if (code !== 0) {
    printErr(`  then ${NEXT}`);
    return code;
  }
  const growth = duringGrowth(directory.path, async () => {
    // Another call can have been first.
    directory.checkGrowth(addresses);
    return { saved: await save(directory), ...directory.grow(addresses) };
  });
  const { saved, keptConfig } = await growth.catch((error: unknown) => {
    printErr(`ffrtmp: the queues stay closed\n  try: ${NEXT}`);
    throw error;
  });
  printOut(`saved ${saved.join(", ")}`);
  const steps = [
    "1. stop the hub. Its data stay where they are",
    `2. copy ${directory.serverDirectories.join(", ")} to the machines of the servers, in this order, and start all`,
    "3. ffrtmp fleet setup, which gives them what was saved",
    "4. ffrtmp fleet restore, until all nodes are back; then ffrtmp fleet restore --finish, which opens the queues",
  ];
  for (const step of steps) printErr(oneLine(`  ${step}`));
  printErr(oneLine(`  the configuration before is ${keptConfig}: compare, if you have changed it`));
  return 0;
}

async function save(directory: FleetDirectory): Promise<string[]> {
  const connection = await connectAsAdmin(directory);
  try {
    return await directory.transfer.save(connection);
  } catch (error) {
    throw explainFailure(error, "save the streams of the fleet");
  } finally {
    await connection.close();
  }
}
