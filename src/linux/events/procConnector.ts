import * as bpf from "../../sys/classicBpf.ts";
import {
  attachFilter,
  attachLoadedFilter,
  openConnectorSocket,
  readDroppedMessages,
  sendToKernel,
} from "../../sys/connectorSocket.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { errnoName } from "../../sys/errno.ts";
import { commBytesOf } from "../proc/comm.ts";
import {
  asLoaded,
  CN_IDX_PROC,
  encodeIgnore,
  encodeListen,
  OFFSET,
  PROC_EVENT_COMM,
  PROC_EVENT_EXEC,
  PROC_EVENT_EXIT,
} from "./cnProc.ts";

const ECONNREFUSED = 111;
const WHOLE_MESSAGE = 0xffff_ffff;
const NOTHING = 0;

/** The kernel allows 4096 instructions, and each name takes nine, which run for each renaming. */
const MAX_FILTERED_NAMES = 200;

/** The kernel doubles this, and a renaming takes 832 bytes: room for 2500 of them. */
const MAX_RENAMES_BUFFER_BYTES = 1024 * 1024;

export type ProcConnector = Exclude<ReturnType<typeof openProcConnector>, { reason: string }>;

/**
 * Opens two netlink sockets of the process connector, with the filters of the wanted events installed. The
 * renamings have a socket of their own: a process can rename itself a million times a second, and a full buffer
 * must not cost an exec or an exit. Without `hasExits`, exits are dropped until `includeExits` is called.
 */
export function openProcConnector(bufferBytes: number, hasExits = true) {
  const filter = buildProcEventFilter(process.pid, hasExits);
  const fd = openConnectorSocket(CN_IDX_PROC, filter, bufferBytes);
  if (typeof fd !== "number") return fd;
  const renamesBytes = Math.min(bufferBytes, MAX_RENAMES_BUFFER_BYTES);
  const renamesFd = openConnectorSocket(CN_IDX_PROC, buildRenamesFilter(process.pid), renamesBytes);
  if (typeof renamesFd !== "number") {
    closeFd(fd);
    return renamesFd;
  }
  const dropped = countDrops(fd);
  const droppedRenames = countDrops(renamesFd);
  return {
    fd,
    renamesFd,
    dropped,
    droppedRenames,
    /** Requests the events; may be repeated. Returns why the request was not sent. It may still be ignored. */
    listen: () => sendAll(fd, encodeListen()) ?? sendAll(renamesFd, encodeListen(PROC_EVENT_COMM)),
    /** Reports exits from now on. Returns 0 or −errno. */
    includeExits: () => attachFilter(fd, buildProcEventFilter(process.pid, true)),
    /** Lets a loaded program decide about execs from now on. Returns 0 or −errno. */
    filterExecs: (programFd: number) => attachLoadedFilter(fd, programFd),
    /** Reports all execs from now on. Returns 0 or −errno. */
    passAllExecs: () => attachFilter(fd, filter),
    /** Reports only renamings to one of these names from now on; `undefined`: all. Returns 0 or −errno. */
    filterRenames: (names: readonly string[] | undefined) =>
      attachFilter(renamesFd, buildRenamesFilter(process.pid, names)),
    /** Turns the events off. Close the sockets afterwards, once no thread reads them any more. */
    stopListening() {
      for (const each of [fd, renamesFd]) sendToKernel(each, encodeIgnore());
    },
    close() {
      for (const each of [fd, renamesFd]) closeFd(each);
    },
  };
}

function sendAll(fd: number, messages: Uint8Array[]): string | undefined {
  for (const message of messages) {
    const sent = sendToKernel(fd, message);
    if (sent === -ECONNREFUSED) {
      return "the process connector does not answer (ECONNREFUSED): it exists only in the initial network namespace, in kernels with CONFIG_PROC_EVENTS";
    }
    if (sent < 0) return `send to the process connector: ${errnoName(sent)}`;
  }
  return undefined;
}

/**
 * Returns a function that reads how many messages a socket has dropped since its start, `null` where the kernel
 * does not count them. The count of the kernel has 32 bits, which a flood fills in an hour.
 */
function countDrops(fd: number): () => number | null {
  let [total, last] = [0, 0];
  return () => {
    const now = readDroppedMessages(fd);
    if (now === null) return null;
    total += (now - last) >>> 0;
    last = now;
    return total;
  };
}

/**
 * Builds the socket filter of the process events. It accepts execs and exits of processes, and the kernel drops
 * the rest, most of all the events of threads.
 *
 * One thread event is accepted: an end with a status other than 0, which is rare. A process whose first thread
 * ended early with 0 ends with the status of another thread and must not count as a success.
 *
 * One renaming is accepted: the heartbeat of this process, which a flood of renamings must not delay.
 *
 * Without `hasExits` it drops all exits, which wake the reader for each process of the machine.
 */
export function buildProcEventFilter(ownPid: number, hasExits: boolean): Uint8Array {
  return bpf.assemble([
    ...LOAD_EVENT,
    bpf.ifEquals(asLoaded(PROC_EVENT_EXIT), hasExits ? "an exit" : "drop"),
    bpf.ifEquals(asLoaded(PROC_EVENT_EXEC), "of a process"),
    bpf.ifEquals(asLoaded(PROC_EVENT_COMM), undefined, "drop"),
    bpf.load(OFFSET.pid),
    bpf.ifEquals(asLoaded(ownPid), "of a process", "drop"),
    bpf.label("an exit"),
    bpf.load(OFFSET.exitCode),
    bpf.ifEquals(0, undefined, "accept"),
    ...OF_A_PROCESS,
  ]);
}

/**
 * Builds the socket filter of the renamings: those of first threads, except of this process. With `names`, only those to
 * one of these, of which the kernel keeps 15 bytes.
 */
export function buildRenamesFilter(ownPid: number, names?: readonly string[]): Uint8Array {
  const start = [
    ...LOAD_EVENT,
    bpf.ifEquals(asLoaded(PROC_EVENT_COMM), undefined, "drop"),
    bpf.load(OFFSET.pid),
    bpf.ifEquals(asLoaded(ownPid), "drop"),
  ];
  if (names === undefined || names.length > MAX_FILTERED_NAMES)
    return bpf.assemble([...start, ...OF_A_PROCESS]);
  return bpf.assemble([
    ...start,
    bpf.load(OFFSET.tgid),
    bpf.ifEqualsX("of a process"),
    bpf.label("drop"),
    bpf.returnValue(NOTHING),
    bpf.label("of a process"),
    ...names.flatMap(acceptName),
    bpf.returnValue(NOTHING),
  ]);
}

/** A name that differs leads to the next line; jumps to a common end would be too long for the kernel. */
function acceptName(name: string, index: number): bpf.BpfLine[] {
  const bytes = new DataView(commBytesOf(name).buffer);
  const next = `not name ${index}`;
  const words = [0, 4, 8, 12].flatMap((at) => [
    bpf.load(OFFSET.comm + at),
    bpf.ifEquals(bytes.getUint32(at), undefined, next),
  ]);
  return [...words, bpf.returnValue(WHOLE_MESSAGE), bpf.label(next)];
}

/** Checks that the message is of the process connector, and loads the kind of its event. */
const LOAD_EVENT = [
  bpf.load(OFFSET.cnIdx),
  bpf.ifEquals(asLoaded(CN_IDX_PROC), undefined, "drop"),
  bpf.load(OFFSET.pid),
  bpf.store(0),
  bpf.loadX(0),
  bpf.load(OFFSET.what),
];

/** Accepts the event if its thread, in X, is the first one of its process. */
const OF_A_PROCESS = [
  bpf.label("of a process"),
  bpf.load(OFFSET.tgid),
  bpf.ifEqualsX("accept", "drop"),
  bpf.label("accept"),
  bpf.returnValue(WHOLE_MESSAGE),
  bpf.label("drop"),
  bpf.returnValue(NOTHING),
];
