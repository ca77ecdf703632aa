import {
  answer,
  assemble,
  ifEquals,
  ifEqualsOther,
  label,
  load,
  loadOther,
  store,
} from "../../sys/classicBpf.ts";
import { CN_IDX_PROC, OFFSET, PROC_EVENT_COMM, PROC_EVENT_EXEC, PROC_EVENT_EXIT } from "./cnProc.ts";

const WHOLE_MESSAGE = 0xffff_ffff;
const NOTHING = 0;

/**
 * Builds the socket filter of the process events. It accepts execs, renamings and exits of processes, and the
 * kernel drops the rest, most of all the events of threads.
 *
 * One thread event is accepted: an end with a status other than 0. A process whose first thread ended early
 * with 0 ends with the status of another thread and must not count as a success. Threads usually end with
 * status 0, so this costs almost nothing.
 */
export function buildProcEventFilter(): Uint8Array {
  return assemble([
    load(OFFSET.cnIdx),
    ifEquals(asLoaded(CN_IDX_PROC), undefined, "drop"),
    load(OFFSET.pid),
    store(0),
    loadOther(0),
    load(OFFSET.what),
    ifEquals(asLoaded(PROC_EVENT_EXIT), "an exit"),
    ifEquals(asLoaded(PROC_EVENT_EXEC), "of a process"),
    ifEquals(asLoaded(PROC_EVENT_COMM), "of a process", "drop"),
    label("an exit"),
    load(OFFSET.exitCode),
    ifEquals(0, undefined, "accept"),
    label("of a process"),
    load(OFFSET.tgid),
    ifEqualsOther("accept", "drop"),
    label("accept"),
    answer(WHOLE_MESSAGE),
    label("drop"),
    answer(NOTHING),
  ]);
}

/**
 * Returns a word as a socket filter loads it: as big-endian on every machine, while the messages are
 * little-endian.
 */
function asLoaded(word: number): number {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setUint32(0, word, true);
  return bytes.getUint32(0, false);
}
