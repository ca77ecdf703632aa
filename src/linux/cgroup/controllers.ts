import type { CgroupController } from "./controller.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { pids } from "./pids.ts";
import { blkio } from "./v1/blkio.ts";
import { cpu as cpuV1 } from "./v1/cpu.ts";
import { cpuacct } from "./v1/cpuacct.ts";
import { cpuset as cpusetV1 } from "./v1/cpuset.ts";
import { memory as memoryV1 } from "./v1/memory.ts";
import { cpu as cpuV2 } from "./v2/cpu.ts";
import { cpuset as cpusetV2 } from "./v2/cpuset.ts";
import { io } from "./v2/io.ts";
import { memory as memoryV2 } from "./v2/memory.ts";
import { readPressure } from "./v2/pressure.ts";

const V1: readonly CgroupController[] = [cpuV1, cpuacct, memoryV1, blkio, pids, cpusetV1];
const V2: readonly CgroupController[] = [cpuV2, memoryV2, io, pids, cpusetV2];

/** Those of cgroup v2 that we know what to do with. */
export const ALL_CONTROLLERS_V2: readonly string[] = V2.map(({ name }) => name);

/** The controllers of a hierarchy that we know what to do with. */
export function controllersOf(hierarchy: Hierarchy): CgroupController[] {
  const known = hierarchy.version === 1 ? V1 : V2;
  return known.filter((controller) => hierarchy.controllers.includes(controller.name));
}

/** v2 measures CPU time and pressure in every cgroup, whatever controllers are on. */
export const V2_ALWAYS_MEASURES: readonly Pick<CgroupController, "usage">[] = [
  cpuV2,
  { usage: readPressure },
];
