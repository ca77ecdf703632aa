import { syscall } from "./libc.ts";

// include/uapi/linux/ioprio.h: 3 bits class · 10 bits hint · 3 bits level
const CLASSES = ["none", "realtime", "best-effort", "idle"] as const;
const CLASS_SHIFT = 13;
const LEVEL_MASK = 0x7;
const IOPRIO_WHO_PROCESS = 1;

export type IoprioClass = (typeof CLASSES)[number];

/** `level` is 0 (first) to 7 (last); it means nothing in the classes none and idle. */
export interface Ioprio {
  class: IoprioClass;
  level: number;
}

/** The raw io priority of one thread, as `setIoprio` takes it back (ioprio_get(2)), or −errno. */
export function getIoprio(tid: number): number {
  return syscall("ioprio_get", IOPRIO_WHO_PROCESS, tid);
}

/** Sets the raw io priority of one thread (ioprio_set(2)). Returns 0 or −errno. */
export function setIoprio(tid: number, value: number): number {
  return syscall("ioprio_set", IOPRIO_WHO_PROCESS, tid, value);
}

export function encodeIoprio({ class: name, level }: Ioprio): number {
  return (CLASSES.indexOf(name) << CLASS_SHIFT) | (level & LEVEL_MASK);
}

/** Hints (Linux 6.5) are left out: to put a value back, keep the raw one. A class that is not known reads as "none". */
export function decodeIoprio(value: number): Ioprio {
  return { class: CLASSES[value >> CLASS_SHIFT] ?? "none", level: value & LEVEL_MASK };
}
