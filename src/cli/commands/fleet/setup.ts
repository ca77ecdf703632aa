import { poolsOf } from "../../../fleet/hub/fleetDirectory.ts";
import { ensureStreams } from "../../../fleet/hub/streams.ts";
import { printOut, warn } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { withHub } from "./session.ts";

/** Creates the streams of a hub that runs as a service, or brings those of an earlier release up to date. */
export async function setUp(flags: FleetFlags): Promise<number> {
  const { created, changed, lacksDispatch } = await withHub(flags, (connection, directory) =>
    ensureStreams(connection, poolsOf(directory.read())),
  );
  const said = [
    ...(created.length > 0 ? [`created ${created.join(", ")}`] : []),
    ...(changed.length > 0 ? [`corrected ${changed.join(", ")}`] : []),
  ];
  printOut(said.length > 0 ? said.join("; ") : "the hub has all streams, as they should be");
  if (lacksDispatch !== undefined) warn(lacksDispatch);
  return 0;
}
