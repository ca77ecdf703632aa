import { closeFd } from "../../../sys/descriptor.ts";
import { createThreads } from "../../../sys/scheduling.ts";
import type { Host } from "../../host.ts";
import { readOwner } from "../table.ts";
import { type FromReader, PROGRESS, type ToReader } from "./protocol.ts";
import { type Answer, type AnswerTo, keyOf, type SlowRead } from "./slowFacts.ts";

/** A thread in one read for this long counts as blocked, and another thread does its other reads. */
const BLOCKED_AFTER_MS = 20;
/** When a read counts as impossible. A process with much memory that forks locks it for tens of ms. */
const LATE_AFTER_MS = 200;
/** A thread that is in no read for this long has not started, or has failed without saying so. */
const FAILED_AFTER_MS = 2000;
/** A thread has 3 MB. The file of a stuck file system and a stuck process each block one. */
const MAX_THREADS = 8;
/** So that one user cannot block all threads. */
const MAX_BLOCKED_PER_USER = 2;
/** Bounds the delay of an answer by the reads after it. */
const MAX_READS_PER_MESSAGE = 16;

/** In the single-file executable, module paths are relative to the common root of its entry points, src/. */
const WORKER_URL = import.meta.url.startsWith("file:///$bunfs/")
  ? "file:///$bunfs/root/linux/proc/slowFacts/worker.ts"
  : new URL("./worker.ts", import.meta.url).href;

interface Pending {
  read: SlowRead;
  settle: (answer: Answer | "late" | undefined) => void;
  isSettled: boolean;
}

interface Thread {
  worker: Worker;
  shared: Int32Array<SharedArrayBuffer>;
  /** Empty while the thread is idle; `undefined` for a read that another thread does. */
  batch: (Pending | undefined)[];
  /** The read in which the thread was seen last, and since when. */
  seen: { index: number; sinceMs: number };
  /** The read that blocks the thread, and the owner of its process. */
  blockedBy: { pending: Pending; key: string; uid: number | undefined } | undefined;
}

export interface SlowReadCounts {
  /** Reads that took too long. */
  late: number;
  /** Reads that were not tried, because too many threads are blocked. */
  skipped: number;
}

/**
 * Reads slow facts in threads, so that a process that delays a read delays no other work. One thread reads; another one
 * is started when it is blocked, up to a limit, and takes its place. A blocked thread cannot be interrupted. It becomes
 * idle, or ends, when its read returns.
 */
export class SlowReader {
  readonly counts: SlowReadCounts = { late: 0, skipped: 0 };
  readonly #host: Host;
  readonly #onLate: (read: SlowRead) => void;
  readonly #isRealtime: boolean;
  readonly #threads = new Set<Thread>();
  #queue: Pending[] = [];
  #isScheduled = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `isRealtime`: the threads are ahead of busy programs. */
  constructor(host: Host, onLate: (read: SlowRead) => void = () => {}, isRealtime = false) {
    this.#host = host;
    this.#onLate = onLate;
    this.#isRealtime = isRealtime;
  }

  /** Resolves to `undefined` when the process is gone or the fact is hidden, to `"late"` when it was not read in time. */
  read<Read extends SlowRead>(read: Read): Promise<AnswerTo<Read> | "late" | undefined> {
    return new Promise((resolve) => {
      const settle = (answer: Answer | "late" | undefined) => {
        if (pending.isSettled) return closeUnused(answer);
        pending.isSettled = true;
        resolve(answer as AnswerTo<Read> | "late" | undefined);
      };
      const pending: Pending = { read, settle, isSettled: false };
      this.#queue.push(pending);
      this.#schedule();
    });
  }

  /** Ends the threads. A blocked one ends with the process: waiting for it could take forever. */
  stop(): void {
    clearTimeout(this.#timer);
    for (const thread of this.#threads) if (thread.blockedBy === undefined) thread.worker.terminate();
    this.#threads.clear();
    for (const { settle } of this.#queue.splice(0)) settle("late");
  }

  /** Collects the reads of one turn of the event loop, which go to a thread together. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    this.#queue = this.#queue.filter((pending) => !this.#skipIfHopeless(pending));
    if (this.#queue.length === 0) return;
    const threads = [...this.#threads];
    const isBusy = threads.some(({ batch, blockedBy }) => batch.length > 0 && blockedBy === undefined);
    if (isBusy) return;
    const thread = threads.find(({ batch }) => batch.length === 0) ?? this.#create();
    const batch = this.#queue.splice(0, MAX_READS_PER_MESSAGE);
    thread.batch = batch;
    thread.seen = { index: -1, sinceMs: performance.now() };
    Atomics.store(thread.shared, PROGRESS.current, -1);
    Atomics.store(thread.shared, PROGRESS.isAbandoned, 0);
    const reads = batch.map(({ read }) => read);
    thread.worker.postMessage({
      procRoot: this.#host.procRoot,
      reads,
      shared: thread.shared,
    } satisfies ToReader);
    this.#timer ??= setTimeout(() => this.#check(), BLOCKED_AFTER_MS);
  }

  #skipIfHopeless({ read, settle }: Pending): boolean {
    const blocked = [...this.#threads].flatMap(({ blockedBy }) => blockedBy ?? []);
    if (blocked.length === 0) return false;
    const uid = ownerOf(this.#host, read);
    const ofUser = blocked.filter((each) => each.uid === uid).length;
    const isHopeless =
      blocked.length >= MAX_THREADS ||
      (uid !== undefined && ofUser >= MAX_BLOCKED_PER_USER) ||
      blocked.some(({ key }) => key === keyOf(read));
    if (!isHopeless) return false;
    this.counts.skipped++;
    settle("late");
    return true;
  }

  #create(): Thread {
    const create = () => new Worker(WORKER_URL, { smol: true, name: "ffrtmp slow reads" });
    const worker = createThreads(this.#isRealtime, create);
    const shared = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
    const seen = { index: -1, sinceMs: 0 };
    const thread: Thread = { worker, shared, batch: [], seen, blockedBy: undefined };
    worker.onmessage = ({ data }: { data: FromReader }) => this.#receive(thread, data);
    // Without the thread its facts are unknown, and a later read tries to start another one.
    worker.onerror = () => this.#drop(thread);
    this.#threads.add(thread);
    return thread;
  }

  #receive(thread: Thread, answers: FromReader): void {
    for (const [index, pending] of thread.batch.entries()) {
      if (pending === undefined) closeUnused(answers[index]);
      else pending.settle(answers[index]);
    }
    thread.batch = [];
    thread.blockedBy = undefined;
    if ([...this.#threads].filter(({ batch }) => batch.length === 0).length > 1) {
      this.#threads.delete(thread);
      thread.worker.terminate();
    }
    this.#schedule();
  }

  #drop(thread: Thread): void {
    this.#threads.delete(thread);
    for (const pending of thread.batch) pending?.settle("late");
    this.#schedule();
  }

  /** Replaces a thread that is blocked, and gives late reads up: every read is answered in time. */
  #check(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    let mustCheckAgain = false;
    for (const thread of this.#threads) {
      const { batch, shared, seen, blockedBy } = thread;
      if (batch.length === 0) continue;
      const index = Atomics.load(shared, PROGRESS.current);
      if (index !== seen.index) thread.seen = { index, sinceMs: nowMs };
      const pending = batch[index];
      const waitedMs = nowMs - thread.seen.sinceMs;
      // A thread that is starting, or whose answers are about to arrive, is in no read.
      if (pending !== undefined && blockedBy === undefined && waitedMs >= BLOCKED_AFTER_MS)
        this.#replace(thread, pending);
      if (pending !== undefined && !pending.isSettled && waitedMs >= LATE_AFTER_MS) {
        this.counts.late++;
        pending.settle("late");
        this.#onLate(pending.read);
      }
      if (pending === undefined && waitedMs >= FAILED_AFTER_MS) this.#drop(thread);
      else if (pending === undefined || !pending.isSettled) mustCheckAgain = true;
    }
    if (mustCheckAgain) this.#timer ??= setTimeout(() => this.#check(), BLOCKED_AFTER_MS);
  }

  /** Lets another thread do the other reads of a blocked one; those before its read were not answered yet. */
  #replace(thread: Thread, pending: Pending): void {
    Atomics.store(thread.shared, PROGRESS.isAbandoned, 1);
    const others = thread.batch.filter((each) => each !== undefined && each !== pending) as Pending[];
    this.#queue.unshift(...others);
    thread.batch = thread.batch.map((each) => (each === pending ? each : undefined));
    thread.blockedBy = { pending, key: keyOf(pending.read), uid: ownerOf(this.#host, pending.read) };
    this.#dispatch();
  }
}

/** Closes the descriptor in an answer that came too late for its caller, or that another thread has given too. */
function closeUnused(answer: Answer | "late" | undefined): void {
  if (typeof answer === "object" && "descriptor" in answer) closeFd(answer.descriptor);
}

/** Returns the owner of the process that a read is about. */
function ownerOf(host: Host, read: SlowRead): number | undefined {
  return read.kind === "path" ? undefined : readOwner(host, read.pid);
}
