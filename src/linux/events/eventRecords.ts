import type { RawEvent } from "./cnProc.ts";

/** What the worker tells the main thread, as numbers: an array of them is handed over without a copy. */
export type EventRecord =
  | RawEvent
  /** The pidfd that was added under this key has something to say. */
  | { kind: "ready"; key: number }
  /** The kernel has dropped events; all that it did not drop has been told. */
  | { kind: "overrun" }
  /** A message that made no sense or was not the kernel's. */
  | { kind: "malformed" };

const KINDS = ["exec", "comm", "exit", "thread-exit", "ready", "overrun", "malformed"] as const;
const NUMBERS_PER_RECORD = 4;

/** kind · pid or key · wait status · µs, four doubles per record. */
export class EventRecordWriter {
  #numbers: number[] = [];

  get count(): number {
    return this.#numbers.length / NUMBERS_PER_RECORD;
  }

  write(record: EventRecord): void {
    const kind = KINDS.indexOf(record.kind);
    if (record.kind === "ready") this.#numbers.push(kind, record.key, 0, 0);
    else if ("pid" in record) this.#numbers.push(kind, record.pid, record.waitStatus, record.atUsec);
    else this.#numbers.push(kind, 0, 0, 0);
  }

  take(): Float64Array<ArrayBuffer> {
    const taken = Float64Array.from(this.#numbers);
    this.#numbers = [];
    return taken;
  }
}

export function* readEventRecords(numbers: Float64Array): Generator<EventRecord> {
  for (let at = 0; at + NUMBERS_PER_RECORD <= numbers.length; at += NUMBERS_PER_RECORD) {
    const [kind = -1, subject = 0, waitStatus = 0, atUsec = 0] = numbers.subarray(
      at,
      at + NUMBERS_PER_RECORD,
    );
    const name = KINDS[kind];
    if (name === undefined) continue;
    if (name === "ready") yield { kind: name, key: subject };
    else if (name === "overrun" || name === "malformed") yield { kind: name };
    else yield { kind: name, pid: subject, waitStatus, atUsec };
  }
}
