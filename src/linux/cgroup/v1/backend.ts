import type { CgroupChange } from "../../change.ts";
import type { CgroupBackend } from "../backend.ts";
import { cpusetV1 as cpuset } from "../cpuset.ts";
import type { JobDirectory } from "../jobCgroup.ts";
import { pids } from "../pids.ts";
import { blkio } from "./blkio.ts";
import { cpu } from "./cpu.ts";
import { cpuacct } from "./cpuacct.ts";
import { memory } from "./memory.ts";

const CONTROLLERS = [cpu, cpuacct, memory, blkio, pids, cpuset];

/** cgroup v1: Documentation/admin-guide/cgroup-v1/cgroups.rst. */
export const backendV1: CgroupBackend = {
  controllers: CONTROLLERS,
  alwaysMeasures: [],
  ownThreadFile: "tasks",
  hasThreadMembership: true,
  clonesIntoCgroup: false,

  plan({ hierarchy, origin, controllers }, { name, limits, tenant, hasWrapperSlot = false }) {
    const { key } = hierarchy;
    const group = tenant && `${origin}/${tenant.name}`;
    const base = group ?? origin;
    // Where other controllers share the hierarchy, a cgroup in between would change their weights.
    const isPidsAlone = hierarchy.controllers.join() === "pids";
    const slot =
      hasWrapperSlot && isPidsAlone && limits.pidsMax !== undefined ? `${base}/${name}` : undefined;
    const path = `${slot ?? base}/${name}`;
    const changes: CgroupChange[] = [];
    if (group !== undefined)
      changes.push({ kind: "cgroup-created", hierarchy: key, path: group, role: "tenant" });
    if (slot !== undefined)
      changes.push({ kind: "cgroup-created", hierarchy: key, path: slot, role: "wrapper-slot" });
    changes.push({ kind: "cgroup-created", hierarchy: key, path, role: "job" });
    changes.push({ kind: "processes-moved", hierarchy: key, from: origin, to: path });
    const directory: JobDirectory = {
      hierarchy,
      path,
      origin,
      placedAs: "child",
      threaded: false,
      controllers: [...controllers],
      ...(group === undefined ? {} : { tenant: group }),
      ...(slot === undefined ? {} : { wrapperSlot: slot }),
    };
    return { directory, changes, unavailable: [] };
  },

  usableControllers: (_fs, hierarchy) =>
    CONTROLLERS.filter(({ name }) => hierarchy.controllers.includes(name)),
  isThreaded: () => false,
  complete: () => true,
  restoreControllers: () => [],
};
