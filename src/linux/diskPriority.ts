import { readdirSync, readFileSync } from "node:fs";

/** Documentation/block/ioprio.rst. `none` and `kyber` serve requests in the order of their arrival. */
const WITH_PRIORITIES = ["[bfq]", "[mq-deadline]"];

/**
 * Returns whether a disk of this machine has an I/O scheduler that considers the priority of a process. Source:
 * /sys/block/DISK/queue/scheduler, with the scheduler in use in brackets: `none [mq-deadline] kyber bfq`.
 */
export function hasDiskPriority(directory = "/sys/block"): boolean {
  try {
    return readdirSync(directory).some((disk) => {
      const text = readScheduler(`${directory}/${disk}/queue/scheduler`);
      return WITH_PRIORITIES.some((scheduler) => text.includes(scheduler));
    });
  } catch {
    return false;
  }
}

function readScheduler(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
