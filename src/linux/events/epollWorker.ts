import { netlinkReceiver } from "../../sys/connectorSocket.ts";
import { addToEpoll, epollWaiter, removeFromEpoll } from "../../sys/epoll.ts";
import { errnoName } from "../../sys/errno.ts";
import { setRealtimeScheduling } from "../../sys/scheduling.ts";
import { taskExists } from "../../sys/taskExists.ts";
import { decodeProcEvent } from "./cnProc.ts";
import { NameTable } from "./nameTable.ts";
import { RepeatedEvents } from "./repeatedEvents.ts";
import { wantedNameReader } from "./wantedName.ts";
import {
  appendEventRecord,
  CONNECTOR_KEY,
  COUNTED,
  DEFER_MS,
  type EventRecord,
  execPidAt,
  type FromWorker,
  NUMBERS_PER_RECORD,
  RENAMES_KEY,
  STOP_KEY,
  type ToWorker,
} from "./workerProtocol.ts";

declare const self: {
  onmessage: (message: { data: ToWorker }) => void;
  postMessage(message: FromWorker, transfer?: ArrayBuffer[]): void;
};

const EAGAIN = 11;
const ENOBUFS = 105;
const MAX_EVENTS_PER_WAIT = 64;
const MAX_NUMBERS_PER_MESSAGE = 1024 * NUMBERS_PER_RECORD;

/** The time for which an exit waits after a pidfd was ready, whose process it may be: less than `ExitWatches` waits for it. */
const DEFER_EXPECTED_MS = 50;

/**
 * Messages that are read from one socket before the other descriptors have their turn. It ends an overrun only
 * where the socket is empty.
 */
const MAX_READS = 4096;

/** The records that the main thread may have before it. The others wait in the kernel, where room is limited. */
const MAX_UNHANDLED = 4096;
const UNHANDLED_CHECK_MS = 20;

/** Renamings are read in turns, so that a flood of them costs little and leaves the main thread its time. */
const RENAMES_TURN_MS = 20;
const MAX_RENAMES_READ_PER_TURN = 256;
const MAX_RENAMES_PASSED_PER_TURN = 32;

/** The records that are not sent yet. */
let numbers: number[] = [];
/** When they are sent at the latest. */
let dueAtMs = Infinity;
/** When a pidfd was ready last. */
let readyAtMs = -Infinity;
/** Among them is one that must not wait. */
let hasUrgent = false;
/** Among them is the end of a thread, before Linux 6.15. */
let hasExits = false;
/** Among them are a new program or name of a process, which may have to be governed. */
let hasCandidates = false;
/** When the thread was woken last. */
let nowMs = 0;
let isRealtime = false;
let hasWantedName: ReturnType<typeof wantedNameReader>;
let counted: ToWorker["counted"];
/** The number of records that were sent; overflows as `handled` does. */
let sent = 0;

const repeated = new RepeatedEvents();

const OWN_PID = process.pid;

/** A socket of the process connector, and whether it has dropped events since it was empty. */
interface Source {
  receiver: ReturnType<typeof netlinkReceiver>;
  hasOverrun: boolean;
  overrun: "overrun" | "renames-overrun";
}

self.onmessage = ({ data }) => {
  // See scripts/build.ts: each thread has a compiler of its own, turned down as well.
  Bun.unsafe.setJITPolicy(1);
  const { epollFd, connector, handled } = data;
  isRealtime = data.isRealtime;
  hasWantedName = wantedNameReader(new NameTable(data.names));
  counted = data.counted;
  const epoll = epollWaiter(epollFd, MAX_EVENTS_PER_WAIT);
  const main = connector && sourceOf(connector.fd, "overrun");
  const renames = connector && sourceOf(connector.renamesFd, "renames-overrun");
  /** When renamings are read again; `undefined` while their socket is in the epoll set. */
  let renamesDueMs: number | undefined;
  self.postMessage("ready");
  for (let isStopping = false; !isStopping; ) {
    waitWhileUnhandled(handled);
    const ready = epoll.wait(timeoutMs(renamesDueMs));
    if (ready < 0) throw new Error(`epoll_wait: ${errnoName(ready)}`);
    nowMs = performance.now();
    for (const event of repeated.startWindowIfDue(nowMs)) add(event);
    let hasRenames = false;
    for (let index = 0; index < ready; index++) {
      const key = epoll.keyAt(index);
      if (key === STOP_KEY) isStopping = true;
      else if (key === CONNECTOR_KEY && main) read(main, MAX_READS, MAX_READS);
      else if (key === RENAMES_KEY) hasRenames = true;
      else add({ kind: "ready", key });
    }
    if (connector && renamesDueMs !== undefined && nowMs >= renamesDueMs) {
      addToEpoll(epollFd, connector.renamesFd, "level", RENAMES_KEY);
      renamesDueMs = undefined;
      hasRenames = true;
    }
    // After the execs and exits, which come first.
    const hasMore =
      hasRenames && renames && !read(renames, MAX_RENAMES_READ_PER_TURN, MAX_RENAMES_PASSED_PER_TURN);
    if (hasMore && connector) {
      removeFromEpoll(epollFd, connector.renamesFd);
      renamesDueMs = nowMs + RENAMES_TURN_MS;
    }
    if (nowMs >= dueAtMs) post();
  }
  self.postMessage("stopped");
};

function sourceOf(fd: number, overrun: Source["overrun"]): Source {
  return { receiver: netlinkReceiver(fd), hasOverrun: false, overrun };
}

/** Waits until the main thread has caught up: without a bound, a flood of events would fill the memory. */
function waitWhileUnhandled(handled: Int32Array<SharedArrayBuffer>): void {
  for (;;) {
    const seen = Atomics.load(handled, 0);
    if (((sent - seen) | 0) < MAX_UNHANDLED) return;
    Atomics.wait(handled, 0, seen, UNHANDLED_CHECK_MS);
  }
}

/** Returns how long to sleep at most: −1 without a limit. */
function timeoutMs(renamesDueMs = Infinity): number {
  const firstMs = Math.min(dueAtMs, repeated.dueAtMs(), renamesDueMs);
  return firstMs === Infinity ? -1 : Math.max(0, Math.ceil(firstMs - performance.now()));
}

/**
 * Reads until the socket is empty or the limits are reached. Returns whether it is empty. After an overrun the
 * kernel drops every event until then, and reports that only once. A scan for the lost events must start after
 * that, so the overrun record is added last.
 */
function read(source: Source, maxReads: number, maxPassed: number): boolean {
  const { receiver } = source;
  let passed = 0;
  for (let reads = 0; reads < maxReads && passed < maxPassed; reads++) {
    const length = receiver.receive();
    if (length === -EAGAIN) {
      if (source.hasOverrun) add({ kind: source.overrun });
      source.hasOverrun = false;
      return true;
    }
    if (length === -ENOBUFS) source.hasOverrun = true;
    else if (length < 0) throw new Error(`recvfrom on the process connector: ${errnoName(length)}`);
    else if (receive(receiver, length)) passed++;
    if (numbers.length >= MAX_NUMBERS_PER_MESSAGE) post();
  }
  return false;
}

/** Adds the record of one datagram. Returns whether there is one. */
function receive(receiver: Source["receiver"], length: number): boolean {
  const event = receiver.isFromKernel() ? decodeProcEvent(receiver.message, length) : "malformed";
  if (event === "other") return false;
  if (event === "malformed") add({ kind: event });
  else if (event.kind === "comm" && event.pid === OWN_PID) countOne("heartbeats");
  else if (repeated.passes(event)) add(event);
  else return false;
  return true;
}

function countOne(what: keyof typeof COUNTED): void {
  counted[COUNTED[what]] = (counted[COUNTED[what]] as number) + 1;
}

/**
 * Adds a record, and decides how long it may wait. The main thread is woken at once only for what concerns it: that spares it
 * most of a fork storm.
 */
function add(record: EventRecord): void {
  if (record.kind === "ready") readyAtMs = nowMs;
  const waitMs = waitOf(record);
  dueAtMs = Math.min(dueAtMs, nowMs + waitMs);
  if (waitMs === 0) hasUrgent = true;
  if (record.kind === "exit" || record.kind === "thread-exit") hasExits = true;
  if (waitMs === 0 && (record.kind === "exec" || record.kind === "comm")) hasCandidates = true;
  appendEventRecord(numbers, record);
}

function waitOf(record: EventRecord): number {
  // Most belong to processes that are not watched. The pidfd of a watched one is ready just before (do_exit(), kernel/exit.c).
  if (record.kind === "exit" || record.kind === "thread-exit")
    return nowMs - readyAtMs < DEFER_MS ? DEFER_EXPECTED_MS : DEFER_MS;
  return record.kind === "exec" && !hasWantedName(record.pid) ? DEFER_MS : 0;
}

function post(): void {
  dueAtMs = Infinity;
  // Most processes of the execs that have waited have ended by now. If all have, the main thread is not woken. It needs the order of
  // execs and exits where these are reported.
  if (!hasUrgent && !hasExits) dropEndedExecs();
  hasUrgent = false;
  hasExits = false;
  if (numbers.length === 0) return;
  // The main thread would wait for a CPU before it could do this itself. It undoes it when it has decided.
  if (isRealtime && hasCandidates) setRealtimeScheduling(OWN_PID);
  hasCandidates = false;
  const message = Float64Array.from(numbers);
  sent = (sent + numbers.length / NUMBERS_PER_RECORD) | 0;
  numbers = [];
  self.postMessage(message, [message.buffer]);
}

function dropEndedExecs(): void {
  const kept: number[] = [];
  for (let at = 0; at < numbers.length; at += NUMBERS_PER_RECORD) {
    const pid = execPidAt(numbers, at);
    if (pid !== undefined && !taskExists(pid)) countOne("endedExecs");
    else for (let each = at; each < at + NUMBERS_PER_RECORD; each++) kept.push(numbers[each] as number);
  }
  numbers = kept;
}
