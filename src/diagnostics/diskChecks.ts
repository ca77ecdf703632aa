import { readDiskPriorities } from "../linux/diskPriority.ts";
import type { DiskWeights } from "../linux/diskWeight.ts";
import { type Check, works } from "./check.ts";

/** More disks would fill the screen. */
const MAX_NAMED = 8;

/**
 * Says on which disks `ionice` acts, that of the intents batch and best-effort included. A scheduler without priorities is the
 * usual one of fast disks, and no failure: only the operator can choose another one.
 */
export function checkDiskPriorities(priorities = readDiskPriorities()): Check {
  const name = "disk priorities";
  const { considered, ignored } = priorities;
  const [first] = ignored;
  if (considered.length > 0) {
    const without = ignored.length === 0 ? "" : `; not on ${namesOf(ignored)}`;
    return works(name, `ionice acts on ${namesOf(considered)}, also that of intents${without}`);
  }
  if (first === undefined)
    return works(name, "no disk of this machine is visible, and intents set no ionice");
  return works(
    name,
    `ionice acts on no disk (${namesOf(ignored)}), and intents set none. echo bfq >/sys/block/${first.disk}/queue/scheduler makes it act there, and costs a fast disk throughput`,
  );
}

/** Says on which disks `io_weight` acts. A disk that divides nothing is the usual one, and no failure. */
export function checkDiskWeights({ acting, without }: DiskWeights): Check {
  const name = "disk weights";
  const [first] = without;
  if (acting.length > 0) {
    const by = acting.map(({ disk, by: scheduler }) => ({ disk, scheduler }));
    const others = without.length === 0 ? "" : `; not on ${namesOf(without)}`;
    return works(name, `io_weight acts on ${namesOf(by)}${others}`);
  }
  if (first === undefined) return works(name, "no disk of this machine is visible");
  return works(
    name,
    `io_weight acts on no disk (${namesOf(without)}). echo bfq >/sys/block/${first.disk}/queue/scheduler makes it act there`,
  );
}

function namesOf(disks: readonly { disk: string; scheduler: string }[]): string {
  const named = disks.slice(0, MAX_NAMED).map(({ disk, scheduler }) => `${disk}: ${scheduler}`);
  return [...named, ...(disks.length > MAX_NAMED ? ["…"] : [])].join(", ");
}
