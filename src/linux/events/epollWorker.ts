import { netlinkReceiver } from "../../sys/connectorSocket.ts";
import { epollWaiter } from "../../sys/epoll.ts";
import { errnoName } from "../../sys/errno.ts";
import { decodeProcEvent } from "./cnProc.ts";
import {
  appendEventRecord,
  CONNECTOR_KEY,
  type EventRecord,
  type FromWorker,
  NUMBERS_PER_RECORD,
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

/** How long exits may wait for an urgent record to be sent with. */
const DEFER_MS = 50;

/** The records that are not sent yet. */
let numbers: number[] = [];
let isUrgent = false;
let oldestAtMs = 0;

self.onmessage = ({ data: { epollFd, connectorFd } }) => {
  const epoll = epollWaiter(epollFd, MAX_EVENTS_PER_WAIT);
  const connector = connectorFd === null ? undefined : netlinkReceiver(connectorFd);
  self.postMessage("ready");
  for (let isStopping = false; !isStopping; ) {
    const ready = epoll.wait(numbers.length > 0 ? DEFER_MS : -1);
    if (ready < 0) throw new Error(`epoll_wait: ${errnoName(ready)}`);
    for (let index = 0; index < ready; index++) {
      const key = epoll.keyAt(index);
      if (key === STOP_KEY) isStopping = true;
      else if (key === CONNECTOR_KEY && connector !== undefined) drain(connector);
      else add({ kind: "ready", key });
    }
    if (isUrgent || performance.now() - oldestAtMs >= DEFER_MS) post();
  }
  self.postMessage("stopped");
};

/**
 * Reads until the socket is empty. After an overrun the kernel drops every event until then, and reports that
 * only once. A scan for the lost events must start after that, so the overrun record is added last.
 */
function drain(connector: ReturnType<typeof netlinkReceiver>): void {
  let hasOverrun = false;
  for (;;) {
    const length = connector.receive();
    if (length === -EAGAIN) break;
    if (length === -ENOBUFS) hasOverrun = true;
    else if (length < 0) throw new Error(`recvfrom on the process connector: ${errnoName(length)}`);
    else {
      const event = connector.isFromKernel() ? decodeProcEvent(connector.message, length) : "malformed";
      if (event !== "other") add(event === "malformed" ? { kind: event } : event);
    }
    if (numbers.length >= MAX_NUMBERS_PER_MESSAGE) post();
  }
  if (hasOverrun) add({ kind: "overrun" });
}

/**
 * Adds a record. Exits alone do not wake the main thread, which spares it most of a fork storm: most belong to
 * processes that are not watched, and the pidfd of a watched process reports by itself.
 */
function add(record: EventRecord): void {
  if (numbers.length === 0) oldestAtMs = performance.now();
  if (record.kind !== "exit" && record.kind !== "thread-exit") isUrgent = true;
  appendEventRecord(numbers, record);
}

function post(): void {
  isUrgent = false;
  if (numbers.length === 0) return;
  const message = Float64Array.from(numbers);
  numbers = [];
  self.postMessage(message, [message.buffer]);
}
