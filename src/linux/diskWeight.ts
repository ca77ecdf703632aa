import { readFileSync } from "node:fs";
import { type DiskScheduler, readDiskSchedulers } from "./diskPriority.ts";

/** The disks of this machine, by whether the weight of a cgroup acts there. */
export interface DiskWeights {
  /** `by`: what divides the disk: `bfq` or `io.cost`. */
  readonly acting: readonly { readonly disk: string; readonly by: string }[];
  readonly without: readonly DiskScheduler[];
}

/**
 * Returns on which disks a weight acts. BFQ acts where it is the scheduler, and io.cost where its `io.cost.qos` is enabled:
 * that file is in the root of cgroup v2 alone. `qos`: its text, `""` on v1 and where it cannot be read.
 * Source: Documentation/admin-guide/cgroup-v2.rst, "IO", and Documentation/block/bfq-iosched.rst.
 */
export function readDiskWeights(qos: string, directory = "/sys/block"): DiskWeights {
  const disks = readDiskSchedulers(directory);
  // 8:16 enable=1 ctrl=auto rpct=0.00 …
  const numbers = [...qos.matchAll(/^(\d+:\d+) .*\benable=1\b/gm)].map(([, device]) => device);
  const byOf = ({ disk, scheduler }: DiskScheduler): string | undefined => {
    if (scheduler === "bfq") return "bfq";
    return numbers.includes(numberOf(`${directory}/${disk}/dev`)) ? "io.cost" : undefined;
  };
  return {
    acting: disks.flatMap((each) => {
      const by = byOf(each);
      return by === undefined ? [] : [{ disk: each.disk, by }];
    }),
    without: disks.filter((each) => byOf(each) === undefined),
  };
}

/** Returns `major:minor`, or "" where the disk has gone. */
function numberOf(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return "";
  }
}
