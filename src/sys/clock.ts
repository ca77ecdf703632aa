import { syscall } from "./libc.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;

/** Returns the offset from CLOCK_MONOTONIC to the wall clock, in µs. It changes when the clock is set. */
export function readMonotonicToWallUsec(): number {
  return readClockUsec(CLOCK_REALTIME) - readClockUsec(CLOCK_MONOTONIC);
}

/** Returns CLOCK_MONOTONIC in whole µs, as service managers compare it. */
export function readMonotonicUsec(): number {
  return Math.floor(readClockUsec(CLOCK_MONOTONIC));
}

// struct timespec { i64 tv_sec; i64 tv_nsec; }
function readClockUsec(clock: number): number {
  const time = new BigInt64Array(2);
  syscall("clock_gettime", clock, time);
  return Number(time[0]) * 1e6 + Number(time[1]) / 1000;
}
