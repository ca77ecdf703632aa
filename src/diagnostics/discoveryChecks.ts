import type { Context } from "../jobs/context.ts";
import { type FavorDynmods, readFavorDynmods } from "../linux/cgroup/favorDynmods.ts";
import { measureMoveWait } from "../linux/cgroup/moveLock/measureWait.ts";
import { whyNoRealtimeThreads } from "../linux/cgroup/realtime.ts";
import { errnoName } from "../sys/errno.ts";
import { hasOrdinaryScheduling, setOrdinaryScheduling, setRealtimeScheduling } from "../sys/scheduling.ts";
import { type Check, fails, works } from "./check.ts";

/** A move that takes less has not waited for the kernel's grace period. */
const NO_WAIT_MS = 1;

/**
 * Measures how long a new process that `watch` finds runs without limits because the kernel takes its time. The wait of a
 * kernel with its usual settings is no failure, and the operator alone can change it.
 */
export async function checkMoveWait({ host, hierarchies, state }: Context): Promise<Check> {
  const name = "wait of a move";
  // Not the name of a job's cgroup, which a starting daemon would take over.
  const waits = await measureMoveWait(host, hierarchies, `ffrtmp.doctor-${state.tag}-${process.pid}`);
  if ("reason" in waits) {
    const cost = "it is not known how long watch and attach wait until the kernel has moved a process";
    return fails(name, `not measured: ${waits.reason}`, cost);
  }
  return works(name, describeMoveWait(waits, readFavorDynmods(host)));
}

/** Exported for its test: no machine shows all of it. */
export function describeMoveWait(waitsMs: readonly number[], { isOn, ways, isFinal }: FavorDynmods): string {
  const sorted = waitsMs.toSorted((a, b) => a - b);
  const medianMs = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const times = `${formatMs(medianMs)} in the median of ${sorted.length} moves, ${formatMs(sorted.at(-1) ?? 0)} at most`;
  if (isOn) return `${times}; favordynmods is on, and each fork, exec and exit pays for it`;
  if (medianMs < NO_WAIT_MS || ways.length === 0)
    return `${times}${ways.length === 0 ? "; favordynmods, which shortens it, needs Linux 6.0" : ""}`;
  const end = isFinal ? "; this kernel cannot turn it off before the next boot" : "";
  return `${times}: so long a process that watch finds runs without limits. ${ways.join(", or ")} makes it 0.1 ms, and every fork, exec and exit on the machine slower${end}`;
}

function formatMs(ms: number): string {
  return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
}

/** Tries on the own thread what `watch` does with all of its threads. */
export function checkRealtime({ host, hierarchies }: Context): Check {
  const name = "real-time scheduling";
  const cost = "on a busy machine watch limits new processes late, and misses some that end soon";
  const danger = whyNoRealtimeThreads(host, hierarchies);
  if (danger !== undefined) return fails(name, danger, cost);
  if (!hasOrdinaryScheduling()) return works(name, "this process has another policy, which watch would keep");
  const result = setRealtimeScheduling();
  if (result < 0) return fails(name, `sched_setscheduler: ${errnoName(result)}`, cost);
  setOrdinaryScheduling();
  return works(name, "watch finds and limits new processes ahead of busy programs");
}
