import { readdirSync } from "node:fs";
import { syscall } from "./libc.ts";

// include/uapi/linux/sched.h
const SCHED_OTHER = 0;
const SCHED_FIFO = 1;
const SCHED_RR = 2;
const SCHED_RESET_ON_FORK = 0x4000_0000;

/** Above every thread without a real-time policy, and below every real-time thread of other programs (1 to 99). */
const LOWEST_REALTIME_PRIORITY = 1;

const OWN_THREAD = 0;

/** Returns whether the calling thread has the policy of ordinary programs, sched_getscheduler(2). */
export function hasOrdinaryScheduling(): boolean {
  return readPolicy() === SCHED_OTHER;
}

/**
 * Schedules a thread ahead of all threads without a real-time policy: SCHED_RR with the lowest priority, sched(7). Threads
 * that it creates inherit that, and so do processes without `startProcess`. Returns 0 or −errno: −EPERM without
 * CAP_SYS_NICE, or in a cgroup without real-time runtime (CONFIG_RT_GROUP_SCHED).
 */
export function setRealtimeScheduling(tid = OWN_THREAD): number {
  return setScheduler(tid, SCHED_RR);
}

/** Schedules a thread as ordinary programs are, with the nice value that it had before. Returns 0 or −errno. */
export function setOrdinaryScheduling(tid = OWN_THREAD): number {
  return setScheduler(tid, SCHED_OTHER);
}

/** Gives real-time scheduling to every thread that this process has. Returns the first −errno, or 0. */
export function setRealtimeSchedulingOfAllThreads(): number {
  // A thread can end before its turn; the own one is the first.
  const result = setRealtimeScheduling();
  if (result === 0) for (const tid of readdirSync("/proc/self/task")) setRealtimeScheduling(Number(tid));
  return result;
}

/**
 * Runs a function that creates threads and no process. With `isRealtime`, those threads have real-time scheduling from
 * their first instruction on: under load, the start of a thread waits for a CPU too.
 */
export function createThreads<T>(isRealtime: boolean, create: () => T): T {
  return isRealtime ? withPolicy(SCHED_RR, create) : create();
}

/** Runs a function that starts a process, which gets ordinary scheduling and no negative nice value of a real-time thread. */
export function startProcess<T>(start: () => T): T {
  const policy = readPolicy();
  return isRealtime(policy) ? withPolicy(policy | SCHED_RESET_ON_FORK, start) : start();
}

function withPolicy<T>(policy: number, action: () => T): T {
  const before = readPolicy();
  setScheduler(OWN_THREAD, policy);
  try {
    return action();
  } finally {
    setScheduler(OWN_THREAD, before);
  }
}

/** Returns the policy of the calling thread, with its flag. */
function readPolicy(): number {
  return syscall("sched_getscheduler", OWN_THREAD);
}

function isRealtime(policy: number): boolean {
  return [SCHED_FIFO, SCHED_RR].includes(policy & ~SCHED_RESET_ON_FORK);
}

function setScheduler(tid: number, policy: number): number {
  // struct sched_param { int sched_priority; }
  const priority = isRealtime(policy) ? LOWEST_REALTIME_PRIORITY : 0;
  return syscall("sched_setscheduler", tid, policy, Int32Array.of(priority));
}
