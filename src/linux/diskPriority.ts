import { readdirSync, readFileSync } from "node:fs";

/** Documentation/block/ioprio.rst. `none` and `kyber` serve requests in the order of their arrival. */
const WITH_PRIORITIES = ["bfq", "mq-deadline"];

/** Devices in memory or in a file: their requests reach a disk without the priority of a process. */
const NO_DISKS = /^(loop|ram|zram)\d/;

/** A disk and the I/O scheduler that it uses. */
export interface DiskScheduler {
  readonly disk: string;
  readonly scheduler: string;
}

/**
 * Returns the disks of this machine. Source: /sys/block/DISK/queue/scheduler, with the scheduler in use in brackets:
 * `none [mq-deadline] kyber bfq`. Disks without the file, such as those made of other disks, are left out.
 */
export function readDiskSchedulers(directory = "/sys/block"): DiskScheduler[] {
  return listDisks(directory).flatMap((disk): DiskScheduler[] => {
    const text = readScheduler(`${directory}/${disk}/queue/scheduler`);
    const [, scheduler = text.trim()] = /\[(.+?)\]/.exec(text) ?? [];
    return scheduler === "" ? [] : [{ disk, scheduler }];
  });
}

/** Returns the disks of this machine by what their scheduler does with the I/O priority of a process. */
export function readDiskPriorities(directory?: string): Record<"considered" | "ignored", DiskScheduler[]> {
  const disks = readDiskSchedulers(directory);
  const isConsidered = ({ scheduler }: DiskScheduler) => WITH_PRIORITIES.includes(scheduler);
  return {
    considered: disks.filter(isConsidered),
    ignored: disks.filter((each) => !isConsidered(each)),
  };
}

/** Returns whether a disk of this machine has an I/O scheduler that considers the priority of a process. */
export function hasDiskPriority(directory?: string): boolean {
  return readDiskPriorities(directory).considered.length > 0;
}

function listDisks(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => !NO_DISKS.test(name));
  } catch {
    return [];
  }
}

function readScheduler(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
