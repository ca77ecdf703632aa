import { countOpenDescriptors, endConnection, listConnections } from "../sys/connections.ts";
import { readSoftFileLimit } from "../sys/fileLimit.ts";

/** More than the viewers of the stream, the other connections of their browsers, and some scrapers. */
const MAX_CONNECTIONS = 256;
/** The part of the limit on open files that connections may take. */
const MAX_PART = 1 / 4;
const INTERVAL_MS = 1000;
/** The pause while clients connect again. */
const FLOOD_INTERVAL_MS = 10;
/** They are reported at most this often; the count has all. */
const REPORT_INTERVAL_MS = 60_000;

/** The descriptors of this process; tests replace them. */
export interface Descriptors {
  readonly limit: number;
  countOpen(): number;
  /** Lists those of connections. */
  connections(): number[];
  end(fd: number): void;
}

/** Returns the descriptors of a process whose server listens at this port. */
export function descriptorsAt(port: number): Descriptors {
  return {
    limit: readSoftFileLimit(),
    countOpen: countOpenDescriptors,
    connections: () => listConnections(port),
    end: (fd) => void endConnection(fd),
  };
}

/**
 * Ends all connections to a server when there are too many. The runtime accepts each one, and every user of this machine can
 * make any number; each takes a descriptor that the daemon needs to find and govern processes.
 */
export class ConnectionLimit {
  readonly #descriptors: Descriptors;
  readonly #report: (count: number) => void;
  readonly #max: number;
  /** As long as no more descriptors are open, the connections need not be counted. */
  #safeUpTo: number;
  #ended = 0;
  #reportedMs = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `report` gets the number of connections that were ended since the start. */
  constructor(descriptors: Descriptors, report: (count: number) => void) {
    this.#descriptors = descriptors;
    this.#report = report;
    this.#max = Math.min(MAX_CONNECTIONS, Math.floor(descriptors.limit * MAX_PART));
    this.#safeUpTo = this.#max;
    this.#scheduleCheck(INTERVAL_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Returns whether connections were ended. */
  check(): boolean {
    const open = this.#descriptors.countOpen();
    // A descriptor of a job that was closed meanwhile could hide a connection.
    this.#safeUpTo = Math.min(this.#safeUpTo, open + this.#max);
    if (open <= this.#safeUpTo) return false;
    const connections = this.#descriptors.connections();
    const spare = this.#max - connections.length;
    this.#safeUpTo = spare >= 0 ? open + spare : open - connections.length + this.#max;
    if (spare >= 0) return false;
    for (const fd of connections) this.#descriptors.end(fd);
    this.#ended += connections.length;
    this.#reportSometimes();
    return true;
  }

  #reportSometimes(): void {
    const nowMs = performance.now();
    if (nowMs - this.#reportedMs < REPORT_INTERVAL_MS) return;
    this.#reportedMs = nowMs;
    this.#report(this.#ended);
  }

  #scheduleCheck(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#scheduleCheck(this.check() ? FLOOD_INTERVAL_MS : INTERVAL_MS);
    }, delayMs);
  }
}
