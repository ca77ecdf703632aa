import type { Host } from "../host.ts";
import { ConnectorEvents } from "./connectorEvents.ts";
import { PidfdEvents } from "./pidfdEvents.ts";
import { PollingEvents } from "./pollingEvents.ts";
import type { ProcessEvent, ProcessEvents } from "./processEvents.ts";

export interface StartedEvents {
  events: ProcessEvents;
  /** Why each better source is not the one that was started. */
  unavailable: string[];
}

/** `auto`: the best source that starts. `polling`: the source that works without events of the kernel. */
export type EventChoice = "auto" | "polling";

/**
 * Starts the best event source that this machine allows: the connector; else polling, with exits reported at
 * once by pidfds; else polling alone.
 */
export async function startBestEvents(
  host: Host,
  intervalMs: number,
  onEvents: (batch: ProcessEvent[]) => void,
  { choice = "auto", bufferBytes }: { choice?: EventChoice; bufferBytes?: number } = {},
): Promise<StartedEvents> {
  const unavailable: string[] = [];
  const candidates = [
    ...(choice === "auto"
      ? [() => new ConnectorEvents(host, bufferBytes === undefined ? {} : { bufferBytes })]
      : []),
    () => new PollingEvents(host, { intervalMs, exits: new PidfdEvents(host) }),
  ];
  for (const create of candidates) {
    const events = create();
    const started = await events.start(onEvents);
    if (started.outcome === "started") return { events, unavailable };
    unavailable.push(started.reason);
  }
  const events = new PollingEvents(host, { intervalMs });
  await events.start(onEvents);
  return { events, unavailable };
}
