import { limitedByAncestor, tightestAbove } from "./constraints.ts";
import type { CgroupController } from "./controller.ts";
import { readNumber } from "./file.ts";
import { planFile } from "./limitPlan.ts";

/** `pids`, the same on v1 and v2: Documentation/admin-guide/cgroup-v1/pids.rst. */
export const pids: CgroupController = {
  name: "pids",
  measures: true,
  plan: {
    "pids.max"(directory, { pidsMax }) {
      const wanted = String(pidsMax);
      const above = tightestAbove(directory, (ancestor) => readNumber(ancestor, "pids.max"));
      if (above && above.value <= (pidsMax as number)) {
        return limitedByAncestor("pids.max", wanted, { text: String(above.value), path: above.path });
      }
      return planFile("pids.max", "pids.max", wanted);
    },
  },
  lift: { "pids.max": () => [{ file: "pids.max", data: "max" }] },
  usage: () => ({}),
  read(directory) {
    const pidsMax = readNumber(directory, "pids.max");
    return pidsMax === undefined ? {} : { pidsMax };
  },
};
