import { closeFd } from "../../sys/descriptor.ts";
import { openPidfd, readPidfdExit } from "../../sys/pidfd.ts";
import { startProcess } from "../../sys/scheduling.ts";
import type { Host } from "../host.ts";
import { ConnectorEvents } from "./connectorEvents.ts";
import type { ExecFilterTables, NoExecFilter } from "./execFilter.ts";
import { PidfdEvents } from "./pidfdEvents.ts";
import { PollingEvents } from "./pollingEvents.ts";
import type { OnEvents, ProcessEvents } from "./processEvents.ts";

export interface StartedEvents {
  events: ProcessEvents;
  /** Why each better source did not start. */
  unavailable: string[];
}

/** `auto`: the best source that starts. `polling`: the source that works without events of the kernel. */
export type EventChoice = "auto" | "polling";

interface BestEventsOptions {
  choice?: EventChoice;
  bufferBytes?: number;
  execFilter?: ExecFilterTables | NoExecFilter | undefined;
  /** The event thread and the one that handles its events are ahead of busy programs: see `ToWorker`. */
  isRealtime?: boolean;
}

const EXIT_CHECK_INTERVAL_MS = 1000;

/** Starts the connector; else polling, with exits reported at once by pidfds; else polling alone. */
export async function startBestEvents(
  host: Host,
  intervalMs: number,
  onEvents: OnEvents,
  { choice = "auto", bufferBytes, execFilter, isRealtime }: BestEventsOptions = {},
): Promise<StartedEvents> {
  const polling = (usesPidfds: boolean) => () => new PollingEvents(host, { intervalMs, usesPidfds });
  const hasExits = choice === "auto" && !(await pidfdsReportExitCodes());
  const connector = () => new ConnectorEvents(host, { bufferBytes, hasExits, execFilter, isRealtime });
  return startFirst([...(choice === "auto" ? [connector] : []), polling(true), polling(false)], onEvents);
}

/**
 * Starts the cheapest source for exits: pidfds where they report how a process ended; else the connector, whose thread
 * receives every process of the machine; else pidfds without the status; else polling.
 */
export async function startExitEvents(host: Host, onEvents: OnEvents): Promise<ProcessEvents> {
  const pidfds = () => new PidfdEvents(host);
  const connector = () => new ConnectorEvents(host);
  const polling = () => new PollingEvents(host, { intervalMs: EXIT_CHECK_INTERVAL_MS, usesPidfds: false });
  const candidates = (await pidfdsReportExitCodes()) ? [pidfds, polling] : [connector, pidfds, polling];
  const { events } = await startFirst(candidates, onEvents);
  // Only ends concern the caller: programs that start need not wake it.
  events.setNames({ renamed: [], executed: [] });
  return events;
}

/** Starts the first candidate that this machine allows. The last one is polling, which works everywhere. */
async function startFirst(candidates: (() => ProcessEvents)[], onEvents: OnEvents): Promise<StartedEvents> {
  const unavailable: string[] = [];
  for (const create of candidates) {
    const events = create();
    const reason = await events.start(onEvents);
    if (reason === undefined) return { events, unavailable };
    unavailable.push(reason);
  }
  throw new Error(`no event source starts: ${unavailable.join("; ")}`);
}

/** Tests on a child whether pidfds report exit codes. Before Linux 6.15 they keep no exit record. */
export async function pidfdsReportExitCodes(): Promise<boolean> {
  const child = startProcess(() => Bun.spawn({ cmd: ["/bin/true"], stdio: ["ignore", "ignore", "ignore"] }));
  const pidfd = openPidfd(child.pid);
  await child.exited;
  if (pidfd < 0) return false;
  const exit = readPidfdExit(pidfd);
  closeFd(pidfd);
  return typeof exit === "object";
}
