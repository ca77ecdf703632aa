import {
  assemble,
  ifEquals,
  ifEqualsX,
  label,
  load,
  loadX,
  returnValue,
  store,
} from "../../sys/classicBpf.ts";
import { CN_IDX_PROC, OFFSET, PROC_EVENT_COMM, PROC_EVENT_EXEC, PROC_EVENT_EXIT } from "./cnProc.ts";

const WHOLE_MESSAGE = 0xffff_ffff;
const NOTHING = 0;

/**
 * Builds the socket filter of the process events. It accepts execs, renamings and exits of processes, and the
 * kernel drops the rest, most of all the events of threads.
 *
 * One thread event is accepted: an end with a status other than 0, which is rare. A process whose first thread
 * ended early with 0 ends with the status of another thread and must not count as a success.
 */
export function buildProcEventFilter(): Uint8Array {
  return assemble([
    load(OFFSET.cnIdx),
    ifEquals(asLoaded(CN_IDX_PROC), undefined, "drop"),
    load(OFFSET.pid),
    store(0),
    loadX(0),
    load(OFFSET.what),
    ifEquals(asLoaded(PROC_EVENT_EXIT), "an exit"),
    ifEquals(asLoaded(PROC_EVENT_EXEC), "of a process"),
    ifEquals(asLoaded(PROC_EVENT_COMM), "of a process", "drop"),
    label("an exit"),
    load(OFFSET.exitCode),
    ifEquals(0, undefined, "accept"),
    label("of a process"),
    load(OFFSET.tgid),
    ifEqualsX("accept", "drop"),
    label("accept"),
    returnValue(WHOLE_MESSAGE),
    label("drop"),
    returnValue(NOTHING),
  ]);
}

/** Returns a word of a little-endian message as a socket filter loads it: always as big-endian. */
function asLoaded(word: number): number {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setUint32(0, word, true);
  return bytes.getUint32(0);
}
