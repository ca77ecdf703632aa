import { type CgroupBackend, planDirectory } from "../backend.ts";
import { cpusetV1 } from "../cpuset.ts";
import { pids } from "../pids.ts";
import { blkio } from "./blkio.ts";
import { cpu } from "./cpu.ts";
import { cpuacct } from "./cpuacct.ts";
import { memory } from "./memory.ts";

const CONTROLLERS = [cpu, cpuacct, memory, blkio, pids, cpusetV1];

/** cgroup v1: Documentation/admin-guide/cgroup-v1/cgroups.rst. */
export const backendV1: CgroupBackend = {
  controllers: CONTROLLERS,
  alwaysMeasures: [],
  clonesIntoCgroup: false,

  plan(site, { name, limits, tenant: group, hasWrapperSlot = false }) {
    const tenant = group && `${site.origin}/${group.name}`;
    const base = tenant ?? site.origin;
    // Where other controllers share the hierarchy, a cgroup in between would change their weights.
    const isPidsAlone = site.hierarchy.controllers.join() === "pids";
    const needsSlot = hasWrapperSlot && isPidsAlone && limits.pidsMax !== undefined;
    const wrapperSlot = needsSlot ? `${base}/${name}` : undefined;
    const path = `${wrapperSlot ?? base}/${name}`;
    return planDirectory(site, { path, placedAs: "child", tenant, wrapperSlot });
  },

  usableControllers: (_fs, hierarchy) =>
    CONTROLLERS.filter(({ name }) => hierarchy.controllers.includes(name)),
  complete: () => true,
  restoreControllers: () => [],
};
