import { closeFd } from "../../sys/descriptor.ts";
import { openPidfd, readPidfdExit } from "../../sys/pidfd.ts";
import type { Host } from "../host.ts";
import { ConnectorEvents } from "./connectorEvents.ts";
import { PidfdEvents } from "./pidfdEvents.ts";
import { PollingEvents } from "./pollingEvents.ts";
import type { ProcessEvent, ProcessEvents } from "./processEvents.ts";

const CHECK_INTERVAL_MS = 1000;

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
  for (const create of (await pidfdsReportExitCodes()) ? [pidfds] : [connector, pidfds]) {
    const events = create();
    if ((await events.start(onEvents)).outcome === "started") return events;
  }
  const events = new PollingEvents(host, { intervalMs: CHECK_INTERVAL_MS });
  await events.start(onEvents);
  return events;
}

/**
 * Tried on a child of our own: kernels before 6.15 either lack the call or answer it without the exit of a process
 * that has been collected.
 */
export async function pidfdsReportExitCodes(): Promise<boolean> {
  const child = Bun.spawn({ cmd: ["/bin/true"], stdio: ["ignore", "ignore", "ignore"] });
  const pidfd = openPidfd(child.pid);
  await child.exited;
  if (pidfd < 0) return false;
  const exit = readPidfdExit(pidfd);
  closeFd(pidfd);
  return typeof exit === "object";
}
