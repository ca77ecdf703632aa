import { closeFd } from "../../sys/descriptor.ts";
import { openPidfd, readPidfdExit } from "../../sys/pidfd.ts";
import type { Host } from "../host.ts";
import { ConnectorEvents } from "./connectorEvents.ts";
import { PidfdEvents } from "./pidfdEvents.ts";
import { PollingEvents } from "./pollingEvents.ts";
import type { ProcessEvent, ProcessEvents } from "./processEvents.ts";

const CHECK_INTERVAL_MS = 1000;

/**
 * Starts the cheapest source for the exits of a few processes: pidfds where they report how a process ended;
 * else the connector, which knows the status but wakes us for every process of the machine; else pidfds
 * without the status; else polling.
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
 * Tests on a child of our own whether pidfds report exit codes. Kernels before 6.15 either lack
 * PIDFD_GET_INFO or answer it without the exit record of a reaped process.
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
