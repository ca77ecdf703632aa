import { basename, dirname } from "node:path";
import { isThreaded } from "../../../limits/table.ts";
import { type CgroupChange, changeKey } from "../../change.ts";
import { type CgroupBackend, isAskedFor, planDirectory } from "../backend.ts";
import type { CgroupController } from "../controller.ts";
import { cpusetV2 } from "../cpuset.ts";
import { readText, readWords } from "../file.ts";
import { ancestorsOf } from "../hierarchies.ts";
import type { JobCgroup, JobDirectory } from "../jobCgroup.ts";
import { pids } from "../pids.ts";
import { cpu } from "./cpu.ts";
import { io } from "./io.ts";
import { memory } from "./memory.ts";
import { pressure } from "./pressure.ts";
import { enableControllers, isAmongProcesses, planControllers, readType } from "./subtreeControl.ts";

const CONTROLLERS = [cpu, memory, io, pids, cpusetV2];

const NOTHING_SHARED: ReadonlySet<string> = new Set();

/** cgroup v2: Documentation/admin-guide/cgroup-v2.rst. */
export const backendV2: CgroupBackend = {
  controllers: CONTROLLERS,
  // cpu.stat and the pressure files are in every cgroup.
  alwaysMeasures: [cpu, pressure],
  clonesIntoCgroup: true,

  plan(site, request) {
    const { fs, hierarchy, origin, controllers } = site;
    const { name, limits, tenant: group, place = { placedAs: "child" }, nice } = request;
    const { shared = () => NOTHING_SHARED } = request;
    const { placedAs } = place;
    const isInPlace = placedAs === "in-place";
    // Only a child of the origin can be in a tenant's cgroup there.
    const tenant = placedAs === "child" && group ? `${origin}/${group.name}` : undefined;
    const base = placedAs === "scope" ? place.scope : placedAs === "beside" ? place.parent : origin;
    const carried = placedAs === "beside" ? place.carried : {};
    const carrier = Object.keys(carried).length > 0 ? `${base}/${name}` : undefined;
    const path = isInPlace ? origin : `${tenant ?? carrier ?? base}/${name}`;
    const threaded =
      placedAs === "child" &&
      (isAmongProcesses(fs, origin) || (tenant !== undefined && isAmongProcesses(fs, tenant)));
    const usable = controllers.filter((controller) => !threaded || isThreaded(controller.name));
    const asked = usable.filter((controller) =>
      isAskedFor(controller, limits, tenant === undefined ? undefined : group?.limits),
    );
    // systemd gives the job's own scope its controllers all the way down.
    const isInScope = placedAs === "scope" || basename(base) === `${name}.scope`;
    const above = isInScope ? [] : ancestorsOf(hierarchy, base).reverse();
    const enable = (level: string, names: string[]): CgroupChange[] =>
      planControllers(fs, hierarchy.key, level, names, shared);
    // Where other cgroups or processes are beside the job's, no controller is enabled only to measure. A workload with a
    // nice value needs cpu there: its weight represents the nice value as soon as another program enables the controller.
    const isShared = placedAs === "beside" || threaded || readType(fs, base) === undefined;
    const isNeeded = (controller: CgroupController): boolean =>
      asked.includes(controller) || (controller === cpu && (limits.nice ?? nice) !== 0);
    const given = isShared ? usable.filter(isNeeded) : usable;
    const parts = { path, placedAs, tenant, threaded, carrier, carried };
    const { directories, changes } = planDirectory({ ...site, controllers: usable }, parts);
    const limited = `${origin} has processes, and among them cgroup v2 can limit cpu, cpuset and pids only`;
    const because =
      place.placedAs === "child" && place.insteadOf !== undefined
        ? `${limited}; no cgroup beside it: ${place.insteadOf}`
        : limited;
    return {
      directories,
      changes: [
        ...above.flatMap((level) => enable(level, namesOf(asked))),
        ...(isInPlace ? [] : [...enable(base, namesOf(given)), ...changes]),
      ],
      unavailable: namesOf(controllers.filter((controller) => !usable.includes(controller))).map(
        (controller) => ({ controller, because }),
      ),
    };
  },

  usableControllers(fs, { controllers }, path) {
    const given = readWords(fs, `${path}/cgroup.controllers`);
    return CONTROLLERS.filter(({ name }) => controllers.includes(name) && given.includes(name));
  },

  complete(job, directory) {
    const { fs, unavailable } = job;
    const { path, tenant, carrier, placedAs } = directory;
    if (placedAs === "in-place") return completeInPlace(job, directory);
    const around = tenant ?? carrier;
    if (around !== undefined) {
      const given = readWords(fs, `${around}/cgroup.controllers`);
      const names = namesOf(directory.controllers).filter((name) => given.includes(name));
      enableControllers(job, around, names);
    }
    const given = readWords(fs, `${path}/cgroup.controllers`);
    directory.controllers = directory.controllers.filter(({ name }) => given.includes(name));
    // The origin got processes after the plan was made: with a controller on, no process can be below them.
    if (readType(fs, path) !== "domain invalid") return true;
    const base = dirname(around ?? path);
    const because = `${base} has got processes of its own, and a cgroup among them can hold no others`;
    unavailable.push(...namesOf(directory.controllers).map((controller) => ({ controller, because })));
    return false;
  },

  restoreControllers(job, directory, limits) {
    const { hierarchy, path, tenant, carrier } = directory;
    const asked = namesOf(CONTROLLERS.filter((controller) => isAskedFor(controller, limits)));
    const known = new Set(job.changes.map(changeKey));
    const added: CgroupChange[] = [];
    for (const level of ancestorsOf(hierarchy, path).reverse()) {
      const planned = planControllers(job.fs, hierarchy.key, level, asked, () => NOTHING_SHARED);
      const on = enableControllers(
        job,
        level,
        planned.map(({ controller }) => controller),
      );
      // These cgroups go away as a whole.
      if (level === tenant || level === carrier) continue;
      added.push(
        ...planned.filter((change) => on.includes(change.controller) && !known.has(changeKey(change))),
      );
    }
    // Before the creations, as when a job is planned.
    job.changes = [...added, ...job.changes];
    const before = directory.controllers;
    directory.controllers = backendV2.usableControllers(job.fs, hierarchy, path);
    return directory.controllers
      .filter((controller) => !before.includes(controller))
      .flatMap(({ resets = [] }) => resets);
  },
};

/** In its owner's cgroup a job has the controllers that the cgroups above give. */
function completeInPlace({ fs, changes, unavailable }: JobCgroup, directory: JobDirectory): true {
  const { path } = directory;
  const given = readWords(fs, `${path}/cgroup.controllers`);
  // A list that was empty is restored only by disabling its controller, if ffrtmp enabled it.
  const isCpusetOurs = changes.some(
    (change) =>
      change.kind === "controller-enabled" && change.path === dirname(path) && change.controller === "cpuset",
  );
  const canRestoreCpus = isCpusetOurs || readText(fs, `${path}/cpuset.cpus`) !== "";
  directory.controllers = directory.controllers.filter(({ name: controller }) => {
    const because = !given.includes(controller)
      ? `it is not among the controllers of ${path} (cgroup.controllers): the cgroup above does not give it`
      : controller === "cpuset" && !canRestoreCpus
        ? `${path}/cpuset.cpus is empty, and the kernel empties it no more while processes are there`
        : undefined;
    if (because !== undefined) unavailable.push({ controller, because });
    return because === undefined;
  });
  return true;
}

function namesOf(controllers: readonly CgroupController[]): string[] {
  return controllers.map(({ name }) => name);
}
