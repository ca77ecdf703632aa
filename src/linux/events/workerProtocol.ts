import type { RawEvent } from "./cnProc.ts";

export interface ToWorker {
  epollFd: number;
  connector: ConnectorSockets | null;
  /** One number: how many records the main thread has handled. It overflows. */
  handled: Int32Array<SharedArrayBuffer>;
  /** What the thread counts without a message, at the places of `COUNTED`: only the thread writes, each time with one store. */
  counted: Float64Array<SharedArrayBuffer>;
  /** Execs under other names may wait: see `NameTable`. */
  names: Uint8Array<SharedArrayBuffer>;
  /** The thread gives real-time scheduling to the main thread with each new program or name that may be a wanted one. */
  isRealtime: boolean;
}

export interface ConnectorSockets {
  /** The socket of execs and exits. */
  fd: number;
  renamesFd: number;
}

/** The array has event records, for `readEventRecords`: numbers are transferred without a copy. */
export type FromWorker = "ready" | "stopped" | Float64Array<ArrayBuffer>;

/** The time for which records that hardly concern the main thread wait for an urgent one to be sent with. */
export const DEFER_MS = 1000;

/**
 * `heartbeats`: renamings of this process. `endedExecs`: execs of processes that had ended when they should have been handed
 * over. Both since the thread was started.
 */
export const COUNTED = { heartbeats: 0, endedExecs: 1 } as const;

/** Keys in the epoll set. Watched pidfds have keys from 1 on. */
export const STOP_KEY = -1;
export const CONNECTOR_KEY = -2;
export const RENAMES_KEY = -3;

export type EventRecord =
  | RawEvent
  /** The pidfd that was added under this key is ready. */
  | { kind: "ready"; key: number }
  /** The kernel has dropped events; every event that it kept has been read. */
  | { kind: "overrun" }
  /** The kernel has dropped renamings. */
  | { kind: "renames-overrun" }
  /** A message that cannot be decoded or does not come from the kernel. */
  | { kind: "malformed" };

const KINDS = [
  "exec",
  "comm",
  "exit",
  "thread-exit",
  "ready",
  "overrun",
  "renames-overrun",
  "malformed",
] as const;
export const NUMBERS_PER_RECORD = 4;

/** Appends a record as four doubles: kind · pid or key · wait status · µs. */
export function appendEventRecord(numbers: number[], record: EventRecord): void {
  const kind = KINDS.indexOf(record.kind);
  if (record.kind === "ready") numbers.push(kind, record.key, 0, 0);
  else if ("pid" in record) numbers.push(kind, record.pid, record.waitStatus, record.atUsec);
  else numbers.push(kind, 0, 0, 0);
}

/** Returns the pid of the record that begins at this place, if it is an exec. */
export function execPidAt(numbers: readonly number[], at: number): number | undefined {
  return numbers[at] === KINDS.indexOf("exec") ? numbers[at + 1] : undefined;
}

export function* readEventRecords(numbers: Float64Array): Generator<EventRecord> {
  for (let at = 0; at < numbers.length; at += NUMBERS_PER_RECORD) {
    const [kind = -1, subject = 0, waitStatus = 0, atUsec = 0] = numbers.subarray(at);
    const name = KINDS[kind];
    if (name === undefined) continue;
    if (name === "ready") yield { kind: name, key: subject };
    else if (name === "overrun" || name === "renames-overrun" || name === "malformed") yield { kind: name };
    else yield { kind: name, pid: subject, waitStatus, atUsec };
  }
}
