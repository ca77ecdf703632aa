import { type Host, readProcFile } from "../host.ts";
import { visible } from "./table.ts";

// 330284657 5891144 48     ← ns on a CPU, ns that it was ready and waited for one, the number of times that it got one
/**
 * Reads for how long a thread has run or waited for a CPU since its start, in µs: the time in which it was ready. `undefined`
 * when it has ended, or is not visible. The directory of a thread id below /proc is not listed, and exists. Waiting includes
 * the time in which a CPU quota stopped it. Source: Documentation/scheduler/sched-stats.rst.
 */
export function readReadyUsec(host: Host, tid: number): number | undefined {
  const text = visible(() => readProcFile(host, `${tid}/schedstat`)) ?? "";
  const match = /^(\d+) (\d+) /.exec(text);
  return match === null ? undefined : (Number(match[1]) + Number(match[2])) / 1000;
}

// include/uapi/linux/sched.h
const REALTIME = [1, 2, 6];
const SCHED_IDLE = 5;

export interface ThreadScheduling {
  readonly policy: "ordinary" | "realtime" | "idle";
  /** −20 to 19; only an ordinary thread has a use for it. */
  readonly nice: number;
}

/** Reads the scheduling of a thread. `undefined` when it has ended. Source: fields 19 and 41 of proc_pid_stat(5). */
export function readThreadScheduling(host: Host, tid: number): ThreadScheduling | undefined {
  const text = visible(() => readProcFile(host, `${tid}/stat`)) ?? "";
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [nice, policy] = [Number(fields[19 - 3]), Number(fields[41 - 3])];
  if (!Number.isInteger(nice) || !Number.isInteger(policy)) return undefined;
  return {
    nice,
    policy: REALTIME.includes(policy) ? "realtime" : policy === SCHED_IDLE ? "idle" : "ordinary",
  };
}

// /autogroup-62 nice 0     ← empty for a thread in no autogroup
/**
 * Reads the autogroup of a thread: in the root cgroup of the cpu controller, the threads of a session compete as one group
 * with its nice value. `undefined`: it is in none, as kernel threads are. Source: sched(7), "The autogroup feature".
 */
export function readAutogroup(host: Host, tid: number): { name: string; nice: number } | undefined {
  const text = visible(() => readProcFile(host, `${tid}/autogroup`)) ?? "";
  const match = /^(\S+) nice (-?\d+)/.exec(text);
  return match === null ? undefined : { name: match[1] as string, nice: Number(match[2]) };
}

/** Returns whether the kernel makes autogroups now. */
export function hasAutogroups(host: Host): boolean {
  return (visible(() => readProcFile(host, "sys/kernel/sched_autogroup_enabled")) ?? "0").trim() === "1";
}
