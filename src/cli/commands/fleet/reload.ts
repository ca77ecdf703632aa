import { type Reload, waitForReload } from "../../../fleet/hub/admin.ts";
import type { FleetDirectory } from "../../../fleet/hub/fleetDirectory.ts";
import type { NKey } from "../../../fleet/keys/nkey.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printErr, warn } from "../../output/messages.ts";

/**
 * Waits until the hub has read who its users are now, and says how to make it where it has not. `outcome` is what has not
 * happened yet then. Returns an exit code: 1 where the hub does not follow.
 */
export async function reloadHub(
  directory: FleetDirectory,
  probe: Pick<NKey, "seed">,
  outcome: string,
): Promise<number> {
  const reload: Reload = await waitForReload(directory, probe);
  if (reload === "read") return 0;
  const reason = reload === "not read" ? "the hub has not read the new users.conf" : reload.message;
  warn(`${reason}: ${outcome}`);
  const users = directory.usersFiles.join(", ");
  printErr(
    oneLine(
      `  try: ffrtmp fleet up; or for a hub elsewhere: copy ${users} there, then systemctl reload ffrtmp-hub`,
    ),
  );
  return 1;
}
