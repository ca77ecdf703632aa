import { connectAsAdmin } from "../../../fleet/hub/admin.ts";
import { HubRefusal } from "../../../fleet/hub/connection.ts";
import { listReturns, type ReturnJson } from "../../../fleet/hub/dispatch/returns.ts";
import { FleetDirectory, locateFleet } from "../../../fleet/hub/fleetDirectory.ts";
import { readStream } from "../../../fleet/hub/readStream.ts";
import { nodeMessage } from "../../../fleet/messages/node.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printErr, printJson, printOut, warn } from "../../output/messages.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { tableWidth } from "../../output/terminal.ts";
import { type TimeFlags, type TimeStyle, tableTimes } from "../../output/times.ts";
import type { FleetFlags } from "./init.ts";
import { timeText } from "./ps.ts";
import { reloadHub } from "./reload.ts";
import { withHub } from "./session.ts";

interface RestoreFlags extends FleetFlags, TimeFlags {
  begin?: boolean;
  finish?: boolean;
  yes?: boolean;
  json?: boolean;
  trunc?: boolean;
}

/** Closes the queues of a hub that is restored from a backup, and opens them when the nodes have sent their claims again. */
export async function restore(flags: RestoreFlags): Promise<number> {
  const directory = new FleetDirectory(locateFleet(flags.dir));
  const { closed } = directory.read();
  if (flags.begin) return begin(directory);
  if (closed === null)
    throw new Refusal(
      "no restore is under way",
      "before a hub with the data of a backup is started: ffrtmp fleet restore --begin",
    );
  const { returns, hubNowMs } = await readReturns(flags, closed);
  const missing = returns.filter(({ is_back: isBack }) => !isBack);
  if (flags.json) printJson(returns);
  else printOut(renderTable(columns(tableTimes(flags), hubNowMs), returns, tableWidth(flags)));
  if (!flags.finish) {
    if (missing.length > 0) return 1;
    if (!flags.json) printErr("ffrtmp: all nodes are back\n  try: ffrtmp fleet restore --finish");
    return 0;
  }
  if (missing.length > 0) {
    const names = missing.map(({ node }) => node).join(", ");
    warn(
      `${names} ${missing.length === 1 ? "has" : "have"} not sent their claims again: another node can run the same jobs a second time`,
    );
    if (!flags.yes) {
      printErr("  try: wait for them; or cut them off with ffrtmp fleet revoke; or add --yes");
      return 1;
    }
  }
  const probe = directory.setClosed(null);
  const code = await reloadHub(directory, probe, "the queues stay closed");
  if (code === 0) printErr("ffrtmp: the queues are open");
  return code;
}

/**
 * Closes the queues while no hub runs. A node that is connected to one could have compared its claims with the data that are about to
 * be replaced, and would count as back.
 */
async function begin(directory: FleetDirectory): Promise<number> {
  if (await isReachable(directory))
    throw new Refusal(
      "the hub runs: a node could take jobs out of its queue meanwhile",
      "stop it; then the same command; then restore its data",
    );
  directory.setClosed(new Date());
  printOut("the queues of all pools are closed");
  const users = directory.usersFiles.join(", ");
  printErr(oneLine(`  next: restore the data; for a hub elsewhere, copy ${users} there; then start the hub`));
  printErr("  then, until all nodes are back: ffrtmp fleet restore");
  return 0;
}

async function isReachable(directory: FleetDirectory): Promise<boolean> {
  try {
    await (await connectAsAdmin(directory)).close();
    return true;
  } catch (error) {
    if (error instanceof HubRefusal && error.fault === "unreachable") return false;
    throw error;
  }
}

function readReturns(
  flags: RestoreFlags,
  closed: string,
): Promise<{ returns: ReturnJson[]; hubNowMs: number }> {
  return withHub(flags, async (connection, directory) => {
    const names = Object.keys(directory.read().nodes);
    const reports = await readStream(connection, "NODES", nodeMessage, { onlyLast: true });
    // The time of the beginning is that of this machine.
    const sinceMs = Date.parse(closed) + reports.hubNowMs - Date.now();
    return { returns: listReturns(names, reports, sinceMs), hubNowMs: reports.hubNowMs };
  });
}

function columns(style: TimeStyle, hubNowMs: number): Column<ReturnJson>[] {
  return [
    { heading: "NODE", text: ({ node }) => node },
    { heading: "BACK", text: ({ is_back: isBack }) => (isBack ? "yes" : "no") },
    { heading: "LAST REPORT", text: ({ last_report: time }) => timeText(time, style, hubNowMs) },
    { heading: "REASON", flexible: true, text: ({ reason }) => reason ?? "-" },
  ];
}
