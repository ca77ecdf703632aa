import { NetlinkReceiver } from "../../sys/connectorSocket.ts";
import { EpollWaiter } from "../../sys/epoll.ts";
import { errnoName } from "../../sys/errno.ts";
import { decodeProcEvent } from "./cnProc.ts";
import { type EventRecord, EventRecordWriter } from "./eventRecords.ts";
import { CONNECTOR_KEY, type FromWorker, STOP_KEY, type ToWorker } from "./workerProtocol.ts";

declare const self: {
  onmessage: (message: { data: ToWorker }) => void;
  postMessage(message: FromWorker, transfer?: ArrayBuffer[]): void;
};

const EAGAIN = 11;
const ENOBUFS = 105;
const EVENTS_AT_ONCE = 64;
const RECORDS_AT_ONCE = 1024;

/** How long ends may wait for something urgent to be told with. */
const DEFER_MS = 50;

const records = new EventRecordWriter();
let isUrgent = false;
let oldestAtMs = 0;

self.onmessage = ({ data: { epollFd, connectorFd } }) => {
  const epoll = new EpollWaiter(epollFd, EVENTS_AT_ONCE);
  const connector = connectorFd === null ? undefined : new NetlinkReceiver(connectorFd);
  self.postMessage({ kind: "ready" });
  for (let isStopping = false; !isStopping; ) {
    const ready = epoll.wait(records.count > 0 ? DEFER_MS : -1);
    if (ready < 0) throw new Error(`epoll_wait: ${errnoName(ready)}`);
    for (let index = 0; index < ready; index++) {
      const key = epoll.keyAt(index);
      if (key === STOP_KEY) isStopping = true;
      else if (key === CONNECTOR_KEY && connector !== undefined) drain(connector);
      else add({ kind: "ready", key });
    }
    if (isUrgent || performance.now() - oldestAtMs >= DEFER_MS) post();
  }
  self.postMessage({ kind: "stopped" });
};

/**
 * Reads until nothing is left. After an overrun the kernel drops whatever comes until the buffer is
 * empty, and says so only once: a scan for what was lost has to begin after that, so the overrun is
 * told last.
 */
function drain(connector: NetlinkReceiver): void {
  let hasOverrun = false;
  for (;;) {
    const length = connector.receive();
    if (length === -EAGAIN) break;
    if (length === -ENOBUFS) hasOverrun = true;
    else if (length < 0) throw new Error(`recvfrom on the process connector: ${errnoName(length)}`);
    else note(connector, length);
    if (records.count >= RECORDS_AT_ONCE) post();
  }
  if (hasOverrun) add({ kind: "overrun" });
}

function note(connector: NetlinkReceiver, length: number): void {
  const event = connector.isFromKernel() ? decodeProcEvent(connector.message, length) : "malformed";
  if (event === "malformed") add({ kind: "malformed" });
  else if (event !== "other") add(event);
}

/**
 * Most ends are of processes that nobody watches, and a watched one's pidfd reports by itself: ends alone
 * do not wake the main thread, which spares it most of a storm of forks.
 */
function add(record: EventRecord): void {
  if (records.count === 0) oldestAtMs = performance.now();
  if (record.kind !== "exit" && record.kind !== "thread-exit") isUrgent = true;
  records.write(record);
}

function post(): void {
  isUrgent = false;
  if (records.count === 0) return;
  const numbers = records.take();
  self.postMessage({ kind: "records", numbers }, [numbers.buffer]);
}
