import { syscall } from "./libc.ts";

// include/uapi/linux/ioprio.h: 3 bits class · 10 bits hint · 3 bits level
const CLASSES = ["none", "realtime", "best-effort", "idle"] as const;
const CLASS_SHIFT = 13;
const LEVEL_MASK = 0x7;
const IOPRIO_WHO_PROCESS = 1;

/** `level` is 0 (highest priority) to 7 (lowest); the classes none and idle ignore it. */
export interface Ioprio {
  class: (typeof CLASSES)[number];
  level: number;
}

/** Returns the raw io priority of one thread (ioprio_get(2)), or −errno. */
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

/** Decodes a raw io priority without its hints (Linux 6.5), so restore from the raw value. */
export function decodeIoprio(value: number): Ioprio {
  return { class: CLASSES[value >> CLASS_SHIFT] ?? "none", level: value & LEVEL_MASK };
}
