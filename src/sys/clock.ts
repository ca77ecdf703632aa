import { syscall } from "./libc.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;

/** Returns the offset from CLOCK_MONOTONIC to the wall clock, in µs. It changes when the clock is set. */
export function readMonotonicToWallUsec(): number {
  return readClockUsec(CLOCK_REALTIME) - readClockUsec(CLOCK_MONOTONIC);
}

/** Returns CLOCK_MONOTONIC in whole µs, as service managers compare it. */
export function readMonotonicUsec(): number {
  return Math.floor(readClockUsec(CLOCK_MONOTONIC));
}

/** Returns CLOCK_BOOTTIME in whole ms: the clock of /proc/PID/stat, which also counts while the machine is suspended. */
export function readBootMs(): number {
  return Math.floor(readClockUsec(CLOCK_BOOTTIME) / 1000);
}

/** A buffer that all calls share: each is over before the next one begins. */
let time: Uint32Array | undefined;

// struct timespec { i64 tv_sec; i64 tv_nsec; }     ← little-endian, as x86-64 and arm64 are
function readClockUsec(clock: number): number {
  time ??= new Uint32Array(4);
  syscall("clock_gettime", clock, time);
  // Not by destructuring, for which the runtime compiles the iterator of typed arrays.
  const [low, high, nsec] = [time[0] as number, time[1] as number, time[2] as number];
  return (high * 2 ** 32 + low) * 1e6 + nsec / 1000;
}
