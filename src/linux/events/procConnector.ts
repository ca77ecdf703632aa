import * as bpf from "../../sys/classicBpf.ts";
import { openConnectorSocket, sendToKernel } from "../../sys/connectorSocket.ts";
import { errnoName } from "../../sys/errno.ts";
import {
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

export type ProcConnector = Exclude<ReturnType<typeof openProcConnector>, { reason: string }>;

/** Opens the netlink socket of the process connector, with the filter of the wanted events installed. */
export function openProcConnector(bufferBytes: number) {
  const fd = openConnectorSocket(CN_IDX_PROC, buildProcEventFilter(), bufferBytes);
  if (typeof fd !== "number") return fd;
  return {
    fd,
    /** Requests the events; may be repeated. Returns why the request was not sent. It may still be ignored. */
    listen(): string | undefined {
      for (const message of encodeListen()) {
        const sent = sendToKernel(fd, message);
        if (sent === -ECONNREFUSED) {
          return "the process connector does not answer (ECONNREFUSED): it exists only in the initial network namespace, in kernels with CONFIG_PROC_EVENTS";
        }
        if (sent < 0) return `send to the process connector: ${errnoName(sent)}`;
      }
      return undefined;
    },
    /** Turns the events off. Close the socket afterwards, once no thread reads it any more. */
    stopListening: () => sendToKernel(fd, encodeIgnore()),
  };
}

/**
 * Builds the socket filter of the process events. It accepts execs, renamings and exits of processes, and the
 * kernel drops the rest, most of all the events of threads.
 *
 * One thread event is accepted: an end with a status other than 0, which is rare. A process whose first thread
 * ended early with 0 ends with the status of another thread and must not count as a success.
 */
export function buildProcEventFilter(): Uint8Array {
  return bpf.assemble([
    bpf.load(OFFSET.cnIdx),
    bpf.ifEquals(asLoaded(CN_IDX_PROC), undefined, "drop"),
    bpf.load(OFFSET.pid),
    bpf.store(0),
    bpf.loadX(0),
    bpf.load(OFFSET.what),
    bpf.ifEquals(asLoaded(PROC_EVENT_EXIT), "an exit"),
    bpf.ifEquals(asLoaded(PROC_EVENT_EXEC), "of a process"),
    bpf.ifEquals(asLoaded(PROC_EVENT_COMM), "of a process", "drop"),
    bpf.label("an exit"),
    bpf.load(OFFSET.exitCode),
    bpf.ifEquals(0, undefined, "accept"),
    bpf.label("of a process"),
    bpf.load(OFFSET.tgid),
    bpf.ifEqualsX("accept", "drop"),
    bpf.label("accept"),
    bpf.returnValue(WHOLE_MESSAGE),
    bpf.label("drop"),
    bpf.returnValue(NOTHING),
  ]);
}

/** Returns a word of a little-endian message as a socket filter loads it: always as big-endian. */
function asLoaded(word: number): number {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setUint32(0, word, true);
  return bytes.getUint32(0);
}
