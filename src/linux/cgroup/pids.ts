import type { CgroupController } from "./controller.ts";
import { readNumber } from "./file.ts";
import { numberFile } from "./limitFiles.ts";

/** `pids`, the same on v1 and v2: Documentation/admin-guide/cgroup-v1/pids.rst. */
export const pids: CgroupController = {
  name: "pids",
  limits: { "pids.max": numberFile("pids.max") },
  details(directory, known) {
    known.taskCount ??= readNumber(directory, "pids.current") ?? null;
  },
};
