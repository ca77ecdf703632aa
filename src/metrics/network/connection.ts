import type { ConnectionId, ConnectionState } from "./inetDiag.ts";

/** The span over which the rate is measured at which a program writes. */
const RATE_WINDOW_MS = 15_000;

/** The bytes of a connection. `null`: the kernel does not count them. */
export type ByteCounts = Record<"sent" | "received" | "retransmitted", number | null>;

/** The state of a connection, compared with the reading before. */
export interface ConnectionReading extends Pick<ConnectionState, "sendQueueBytes" | "receiveQueueBytes"> {
  /** Since the start of the connection in its first reading, else since the reading before. */
  readonly increase: ByteCounts;
  readonly isFirst: boolean;
  /** The send queue in seconds at the rate at which the program writes. */
  readonly backlogSeconds: number | null;
  /** The time in which the receiver's window held the sending back, as `increase`. */
  readonly windowLimitedUsec: number | null;
  /** The part of the time since the reading before in which the receiver's window held the sending back, 0 to 100. */
  readonly windowLimitedPercent: number | null;
}

/** A TCP connection of a job, which is read again and again. */
export class Connection {
  readonly namespace: string;
  readonly id: ConnectionId;
  readonly #written = new WriteRate();
  #last: { state: ConnectionState; atBootMs: number } | undefined;

  constructor(namespace: string, id: ConnectionId) {
    this.namespace = namespace;
    this.id = id;
  }

  compare(state: ConnectionState, atBootMs: number): ConnectionReading {
    const last = this.#last;
    this.#last = { state, atBootMs };
    if (state.ackedBytes !== null) this.#written.add(atBootMs, state.ackedBytes + state.sendQueueBytes);
    const increase = (now: number | null, before: number | null | undefined) =>
      now === null ? null : Math.max(0, now - (before ?? 0));
    const { windowLimitedUsec } = state;
    const elapsedMs = last === undefined ? 0 : atBootMs - last.atBootMs;
    const limitedUsec =
      windowLimitedUsec === null || last?.state.windowLimitedUsec == null
        ? null
        : windowLimitedUsec - last.state.windowLimitedUsec;
    return {
      sendQueueBytes: state.sendQueueBytes,
      receiveQueueBytes: state.receiveQueueBytes,
      increase: {
        sent: increase(state.ackedBytes, last?.state.ackedBytes),
        received: increase(state.receivedBytes, last?.state.receivedBytes),
        retransmitted: increase(state.retransmittedBytes, last?.state.retransmittedBytes),
      },
      windowLimitedUsec: increase(windowLimitedUsec, last?.state.windowLimitedUsec),
      isFirst: last === undefined,
      backlogSeconds: this.#written.secondsOf(state.sendQueueBytes),
      // The kernel counts in jiffies, of up to 10 ms.
      windowLimitedPercent:
        limitedUsec === null || elapsedMs <= 0
          ? null
          : Math.min(100, (100 * limitedUsec) / (1000 * elapsedMs)),
    };
  }
}

/**
 * The rate at which a program writes to a connection, over 15 s or as long as it was observed. A program whose send buffer
 * is full writes nothing: the rate before stays, because it says how much time the waiting bytes stand for.
 */
class WriteRate {
  #points: { atBootMs: number; writtenBytes: number }[] = [];
  #bytesPerSecond: number | null = null;

  add(atBootMs: number, writtenBytes: number): void {
    const previous = this.#points.at(-1);
    // While nothing is written, time does not count.
    if (previous !== undefined && writtenBytes <= previous.writtenBytes && this.#bytesPerSecond !== null) {
      this.#points = [{ atBootMs, writtenBytes }];
      return;
    }
    this.#points.push({ atBootMs, writtenBytes });
    while (this.#points.length > 2 && atBootMs - (this.#points[1]?.atBootMs ?? 0) >= RATE_WINDOW_MS)
      this.#points.shift();
    const first = this.#points[0] ?? { atBootMs, writtenBytes };
    const seconds = (atBootMs - first.atBootMs) / 1000;
    const rate = seconds > 0 ? (writtenBytes - first.writtenBytes) / seconds : 0;
    if (rate > 0) this.#bytesPerSecond = rate;
  }

  /** Returns the time in which the program writes this much; `null`: its rate is not known. */
  secondsOf(bytes: number): number | null {
    if (bytes === 0) return 0;
    return this.#bytesPerSecond === null ? null : bytes / this.#bytesPerSecond;
  }
}
