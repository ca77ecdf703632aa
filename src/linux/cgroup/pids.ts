import type { CgroupController } from "./controller.ts";
import { compareReadBack, limitedByAncestor, readNumber, tightestAbove, writeCgroupFile } from "./file.ts";

/** `pids`, the same on v1 and v2: Documentation/admin-guide/cgroup-v1/pids.rst. */
export const pids: CgroupController = {
  name: "pids",
  measures: true,
  apply: {
    "pids.max"(directory, { pidsMax }) {
      const wanted = String(pidsMax);
      const above = tightestAbove(directory, (ancestor) => readNumber(ancestor, "pids.max"));
      if (above && above.value <= (pidsMax as number)) {
        return limitedByAncestor("pids.max", wanted, { text: String(above.value), path: above.path });
      }
      return compareReadBack(
        "pids.max",
        wanted,
        writeCgroupFile(directory, "pids.max", wanted),
        (readBack) => readBack === wanted,
      );
    },
  },
  lift: { "pids.max": (directory) => writeCgroupFile(directory, "pids.max", "max") },
  usage: () => ({}),
  read(directory) {
    const pidsMax = readNumber(directory, "pids.max");
    return pidsMax === undefined ? {} : { pidsMax };
  },
};
