import { closeFd, openPidfd, readPidfdExit } from "../../sys/pidfd.ts";
import type { Host } from "../host.ts";
import { ConnectorEvents } from "./connectorEvents.ts";
import { PidfdEvents } from "./pidfdEvents.ts";
import { PollingEvents } from "./pollingEvents.ts";
import type { ProcessEvent, ProcessEvents } from "./processEvents.ts";

const LOOK_INTERVAL_MS = 1000;

/**
 * Starts the source that costs least for the ends of a few chosen processes: pidfds where they tell how a process
 * ended, else the connector, which wakes us for every process of the machine but knows the codes, else what there is.
 */
export async function startExitEvents(
  host: Host,
  onEvents: (batch: ProcessEvent[]) => void,
): Promise<ProcessEvents> {
  const pidfds = () => new PidfdEvents(host);
  const connector = () => new ConnectorEvents(host);
  for (const create of pidfdsTellCodes() ? [pidfds] : [connector, pidfds]) {
    const events = create();
    if ((await events.start(onEvents)).outcome === "started") return events;
  }
  const events = new PollingEvents(host, { intervalMs: LOOK_INTERVAL_MS });
  await events.start(onEvents);
  return events;
}

/** Tried on ourselves: a kernel with the call answers "running". */
export function pidfdsTellCodes(): boolean {
  const pidfd = openPidfd(process.pid);
  if (pidfd < 0) return false;
  const answer = readPidfdExit(pidfd);
  closeFd(pidfd);
  return answer === "running";
}
