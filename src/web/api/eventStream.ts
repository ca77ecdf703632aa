import type { DaemonEvent, DaemonEvents } from "../../daemon/events.ts";
import { jsonEventLine } from "../../daemon/jsonLog.ts";
import { resultJson } from "../../jobs/json.ts";
import { type Problem, problemResponse } from "../problem.ts";
import { respond } from "../response.ts";
import type { Handler } from "../routes.ts";
import { checked, type DocumentSource } from "./apiRoutes.ts";
import { Query } from "./query.ts";
import { Viewer } from "./viewer.ts";

const MAX_VIEWERS = 64;
/** `keepAliveMs` is shorter than the time after which the server closes a connection without traffic. */
const TIMES = { intervalMs: 1000, keepAliveMs: 10_000 };
const RETRY_MS = 2000;

const ENCODER = new TextEncoder();

/**
 * Sends snapshots and events to all viewers. A snapshot is made once for all of them, and only while there are any. A viewer
 * that reads too slowly gets fewer snapshots, and delays no other.
 */
export class EventStream {
  readonly #documents: DocumentSource;
  readonly #times: typeof TIMES;
  readonly #viewers = new Set<Viewer>();
  readonly #unsubscribe: () => void;
  #snapshotTimer: ReturnType<typeof setInterval> | undefined;
  #keepAliveTimer: ReturnType<typeof setInterval> | undefined;
  #lastText: string | undefined;

  constructor(bus: DaemonEvents, documents: DocumentSource, times = TIMES) {
    this.#documents = documents;
    this.#times = times;
    this.#unsubscribe = bus.subscribe((event) => this.#forward(event));
  }

  readonly answer: Handler = checked((request) => {
    new Query(request, []);
    if (this.#viewers.size >= MAX_VIEWERS) return problemResponse(request, TOO_MANY);
    return respond(request.method === "HEAD" ? "" : this.#open(), "text/event-stream; charset=utf-8");
  });

  stop(): void {
    this.#unsubscribe();
    this.#setTimers(false);
    for (const viewer of this.#viewers) viewer.close();
    this.#viewers.clear();
  }

  #open(): ReadableStream<Uint8Array> {
    const viewer = new Viewer(() => this.#leave(viewer));
    this.#viewers.add(viewer);
    this.#setTimers(true);
    viewer.send(ENCODER.encode(`retry: ${RETRY_MS}\n\n`));
    const message = this.#snapshotMessage();
    if (message !== undefined) viewer.replaceSnapshot(message);
    return viewer.stream;
  }

  #leave(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size === 0) this.#setTimers(false);
  }

  #setTimers(isOn: boolean): void {
    if (isOn) {
      this.#snapshotTimer ??= setInterval(() => this.#sendSnapshot(), this.#times.intervalMs);
      this.#keepAliveTimer ??= setInterval(() => this.#keepAlive(), this.#times.keepAliveMs);
      return;
    }
    clearInterval(this.#snapshotTimer);
    clearInterval(this.#keepAliveTimer);
    this.#snapshotTimer = undefined;
    this.#keepAliveTimer = undefined;
    this.#lastText = undefined;
  }

  /** Sends the present snapshot, unless every viewer has it. */
  #sendSnapshot(): void {
    const before = this.#lastText;
    const message = this.#snapshotMessage();
    if (message === undefined || this.#lastText === before) return;
    for (const viewer of this.#viewers) viewer.replaceSnapshot(message);
  }

  #snapshotMessage(): Uint8Array | undefined {
    const documents = this.#documents();
    return documents?.inBackground(() => {
      const text = documents.snapshot();
      this.#lastText = text;
      return messageOf("snapshot", text, Date.now());
    });
  }

  #keepAlive(): void {
    const comment = ENCODER.encode(": still here\n\n");
    for (const viewer of this.#viewers) viewer.sendIfIdle(comment);
  }

  #forward(event: DaemonEvent): void {
    if (this.#viewers.size === 0) return;
    const message = messageOfEvent(event);
    if (message === undefined) return;
    for (const viewer of this.#viewers) viewer.send(message);
  }
}

const TOO_MANY: Problem = {
  status: 503,
  detail: `${MAX_VIEWERS} clients read the stream, and no more are served`,
  next: "close another one, or ask for /api/v1/snapshot",
  headers: { "Retry-After": "10" },
};

function messageOfEvent(event: DaemonEvent): Uint8Array | undefined {
  if (event.kind === "job-ended")
    return messageOf("ended", JSON.stringify(resultJson(event.job, event.result)));
  // The output of the operator's own program is for the log.
  const line = jsonEventLine(event.kind === "hook-ended" ? { ...event, output: "" } : event, "info");
  return line === undefined ? undefined : messageOf("event", line);
}

/** `data` has no line break. */
function messageOf(event: string, data: string, id?: number): Uint8Array {
  const idLine = id === undefined ? "" : `id: ${id}\n`;
  return ENCODER.encode(`event: ${event}\n${idLine}data: ${data}\n\n`);
}
