import { readdirSync, readFileSync } from "node:fs";
import { errnoName } from "../../src/sys/errno.ts";
import { setOrdinaryScheduling, setRealtimeScheduling } from "../../src/sys/scheduling.ts";

export const OTHER = 0;
export const RR = 2;

export interface ThreadScheduling {
  comm: string;
  policy: number;
  nice: number;
}

/** Returns the scheduling of every thread of a process, the main one first. Source: /proc/PID/task/TID/stat, proc_pid_stat(5). */
export function readThreads(pid: number): ThreadScheduling[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((tid) => {
    let text: string;
    try {
      text = readFileSync(`/proc/${pid}/task/${tid}/stat`, "utf8");
    } catch {
      return [];
    }
    // 4026 (ffrtmp events) S 1 …
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const comm = text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"));
    return [{ comm, nice: Number(fields[16]), policy: Number(fields[38]) }];
  });
}

/** Returns the policy of the main thread of a process. */
export function readPolicy(pid = process.pid): number | undefined {
  return readThreads(pid)[0]?.policy;
}

/** Returns why this process cannot have real-time scheduling, or `undefined`. Tries it. */
export function lacksRealtime(): string | undefined {
  const result = setRealtimeScheduling();
  if (result < 0) return `no right to real-time scheduling (${errnoName(result)})`;
  setOrdinaryScheduling();
  return undefined;
}

/** Undoes `setRealtimeSchedulingOfAllThreads`. */
export function setAllOrdinary(): void {
  for (const tid of readdirSync("/proc/self/task")) setOrdinaryScheduling(Number(tid));
}
