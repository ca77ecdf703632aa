import type { Ending } from "../jobs/model/ending.ts";
import type { WorkloadEnd } from "../jobs/start/spawn.ts";
import type { Host } from "../linux/host.ts";
import { type ChildEnd, waitForChild } from "../sys/childWait.ts";
import { errnoName } from "../sys/errno.ts";
import { CONTINUED_MS } from "../sys/ownSignals.ts";
import type { TakenOverJob } from "./newStart.ts";
import { endOfChild, type FullProgram, recordPlainEnd } from "./wait.ts";

/**
 * Waits for the workload of an earlier start of this process, records its end, and returns the exit code of the command. The
 * runtime does nothing meanwhile, so that it takes no memory: no timer, no garbage collection.
 */
export async function waitInNewStart(
  host: Pick<Host, "cgroupFs" | "now" | "bootNow">,
  waiting: TakenOverJob,
  full: FullProgram,
): Promise<number> {
  let continuedMs = Number.NEGATIVE_INFINITY;
  const end = waitForChild(waiting.pid, () => {
    continuedMs = host.bootNow();
  });
  const { file, options = {} } = waiting;
  if (typeof end === "string") return full.stopObserving(waiting, end, options);
  const isUnseen = host.bootNow() - continuedMs < CONTINUED_MS;
  if (file !== undefined) return recordPlainEnd(host, { ...waiting, file }, endOf(end), isUnseen, full);
  return full.recordEnd(waiting, { ...endOf(end), recorded: { kind: "open" }, isUnseen }, options);
}

function endOf(end: ChildEnd | number): WorkloadEnd {
  if (typeof end !== "number") return endOfChild(end);
  const ending: Ending = { kind: "exit-unknown", reason: `it could not be waited for (${errnoName(end)})` };
  return { ending, measured: {} };
}
