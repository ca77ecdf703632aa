import { FleetDirectory, locateFleet, poolsOf, serversOf } from "../../../fleet/hub/fleetDirectory.ts";
import { ensureStreams } from "../../../fleet/hub/streams.ts";
import type { StreamTransfer } from "../../../fleet/hub/transfer.ts";
import { printErr, printOut, warn } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { reloadHub } from "./reload.ts";
import { connected } from "./session.ts";

/** Creates the streams of a hub that runs as a service, or brings those of an earlier release up to date. */
export async function setUp(flags: FleetFlags & { replicas?: number }): Promise<number> {
  const directory = new FleetDirectory(locateFleet(flags.dir));
  const transfer = directory.pendingTransfer;
  if (transfer !== undefined) {
    const code = await restoreSaved(directory, transfer);
    if (code !== 0) return code;
  }
  const { created, changed, lacksDispatch } = await connected(directory, (connection) =>
    ensureStreams(
      connection,
      poolsOf(directory.read()),
      flags.replicas ?? serversOf(directory.read()).length,
      flags.replicas,
    ),
  );
  // Also where an earlier call was interrupted in this.
  if (serversOf(directory.read()).length > 1) directory.transfer.end();
  const said = [
    ...(created.length > 0 ? [`created ${created.join(", ")}`] : []),
    ...(changed.length > 0 ? [`corrected ${changed.join(", ")}`] : []),
  ];
  printOut(said.length > 0 ? said.join("; ") : "the hub has all streams, as they should be");
  if (lacksDispatch !== undefined) warn(lacksDispatch);
  if (transfer !== undefined)
    printErr("  next, until all nodes are back: ffrtmp fleet restore; then ffrtmp fleet restore --finish");
  return 0;
}

/**
 * Gives the streams that were saved to the servers of a hub that has grown. Returns an exit code: 1 where a server would let nodes
 * take jobs, of which the claims of the last minutes may be missing.
 */
async function restoreSaved(directory: FleetDirectory, transfer: StreamTransfer): Promise<number> {
  const code = await reloadHub(directory, { seed: transfer.probe }, "nothing is restored");
  if (code !== 0) return code;
  // Only what nodes compare from now on, they compare with this hub.
  directory.setClosed(new Date());
  const servers = serversOf(directory.read()).length;
  const restored = await connected(directory, (connection) => transfer.restore(connection, servers));
  if (restored.length > 0) printOut(`restored ${restored.join(", ")}`);
  return 0;
}
