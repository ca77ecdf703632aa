import { type StartedEvents, startBestEvents } from "../linux/events/bestEvents.ts";
import type { DroppedExecs } from "../linux/events/execFilter.ts";
import type { OnEvents, ProcessEvent, ProcessEvents } from "../linux/events/processEvents.ts";
import { commNamesOf, execNamesOf } from "../policy/commNames.ts";
import { type DaemonContext, scanIntervalOf } from "./daemonContext.ts";
import type { Discovery } from "./discovery.ts";
import { ExecNames } from "./execNames.ts";
import type { JobTracker } from "./jobTracker.ts";
import type { Rescans } from "./rescans.ts";
import type { DaemonStatistics } from "./statistics.ts";

/** A loss is reported at most this often. */
const LOSS_LOG_INTERVAL_MS = 60_000;

/** The parts of a daemon that events are for. */
interface EventReceivers {
  readonly tracker: JobTracker;
  readonly discovery: Pick<Discovery, "considerNow">;
  readonly rescans: Pick<Rescans, "request">;
  readonly statistics: DaemonStatistics;
}

/** Passes the events of processes on, starts another source of events when one fails, and gives it the names of the policy. */
export class EventIntake {
  readonly #context: DaemonContext;
  readonly #receivers: EventReceivers;
  readonly #execNames = new ExecNames();
  #events: ProcessEvents;
  #lossLoggedMs = -Infinity;
  /** Ends of processes whose handling is postponed. */
  #postponedEnds: ProcessEvent[] = [];
  /** False from the failure of an event source until the next one has started. */
  #isListening = true;

  constructor(context: DaemonContext, events: ProcessEvents, receivers: EventReceivers) {
    this.#context = context;
    this.#events = events;
    this.#receivers = receivers;
  }

  get source(): ProcessEvents["source"] {
    return this.#events.source;
  }

  get isListening(): boolean {
    return this.#isListening;
  }

  isPolling(): boolean {
    return this.source === "polling";
  }

  /** Makes the filters of the kernel pass the names of the policy in force. */
  setNames(): void {
    const { policy } = this.#context.store;
    this.#execNames.setPolicyNames(execNamesOf(policy));
    this.#events.setNames({ renamed: commNamesOf(policy), executed: this.#execNames.list() });
  }

  /** Makes the filter of execs pass this name too: a governed process has it, and the policy has another. */
  learnName(comm: string): void {
    if (this.#execNames.learn(comm)) this.setNames();
  }

  /** Returns the execs that the filter of the kernel has dropped since the last call, where there is one. */
  takeDroppedExecs(): DroppedExecs | undefined {
    return this.#events.takeDroppedExecs();
  }

  handle(batch: ProcessEvent[]): void {
    const { tracker, discovery, rescans } = this.#receivers;
    const { bus, postponed } = this.#context;
    const ends = batch.filter(({ kind }) => kind === "over" || kind === "exit");
    if (ends.length > 0) {
      const isDone = postponed.attempt(() => {
        tracker.observer.take(ends);
        return true;
      });
      if (!isDone) this.#postponedEnds.push(...ends);
    }
    // The last one has made the event thread send the others, which it let wait.
    for (const event of batch.toReversed()) {
      if (event.kind === "exec" || event.kind === "comm") void discovery.considerNow(event.pid);
      else if (event.kind === "lost") {
        this.#reportLoss(event.reason);
        rescans.request();
      } else if (event.kind === "failed") {
        bus.emit({ kind: "event-source-failed", source: this.source, reason: event.reason });
        void this.restart();
      }
    }
  }

  /** Handles the ends that were postponed. */
  retry(): void {
    const ends = this.#postponedEnds.splice(0);
    if (ends.length > 0) this.handle(ends);
  }

  /** Stops the source of events, and starts the best one that there is now. */
  async restart(): Promise<void> {
    const { tracker, rescans, statistics } = this.#receivers;
    this.#isListening = false;
    statistics.closeSource();
    await this.#events.stop();
    const { events, unavailable } = await startEvents(this.#context, (batch) => this.handle(batch));
    this.#events = events;
    this.#context.bus.emit({ kind: "event-source-changed", source: events.source, unavailable });
    this.setNames();
    statistics.switchTo(events);
    tracker.observer.switchTo(events);
    this.#isListening = true;
    rescans.request();
  }

  async stop(): Promise<void> {
    await this.#events.stop();
  }

  /** A flood of events must not become a flood of log lines: the counts show the later losses. */
  #reportLoss(reason: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#lossLoggedMs < LOSS_LOG_INTERVAL_MS) return;
    this.#lossLoggedMs = nowMs;
    const { dropped, droppedRenames } = this.#receivers.statistics.counts();
    const all = dropped === null || droppedRenames === null ? null : dropped + droppedRenames;
    this.#context.bus.emit({ kind: "events-lost", reason, dropped: all });
  }
}

export async function startEvents(context: DaemonContext, onEvents: OnEvents): Promise<StartedEvents> {
  const { host, options, scheduling } = context;
  const { isRealtime } = scheduling;
  return startBestEvents(host, scanIntervalOf(context), onEvents, { ...options.events, isRealtime });
}
