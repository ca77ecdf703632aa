import { dirname } from "node:path";
import { isThreaded } from "../../../limits/table.ts";
import { type CgroupChange, changeKey } from "../../change.ts";
import { type CgroupBackend, type CgroupRequest, isAskedFor, type TenantGroup } from "../backend.ts";
import type { CgroupController } from "../controller.ts";
import { cpusetV2 as cpuset } from "../cpuset.ts";
import { readText, readWords } from "../file.ts";
import { ancestorsOf, type Hierarchy } from "../hierarchies.ts";
import type { JobCgroup, JobDirectory } from "../jobCgroup.ts";
import { pids } from "../pids.ts";
import { cpu } from "./cpu.ts";
import { io } from "./io.ts";
import { memory } from "./memory.ts";
import { readPressure } from "./pressure.ts";
import {
  enableController,
  isAmongProcesses,
  listDisabled,
  planControllers,
  readType,
} from "./subtreeControl.ts";

const CONTROLLERS = [cpu, memory, io, pids, cpuset];

const NOTHING_SHARED: ReadonlySet<string> = new Set();

/** cgroup v2: Documentation/admin-guide/cgroup-v2.rst. */
export const backendV2: CgroupBackend = {
  controllers: CONTROLLERS,
  // cpu.stat and the pressure files are in every cgroup.
  alwaysMeasures: [cpu, { usage: readPressure }],
  ownThreadFile: "cgroup.procs",
  hasThreadMembership: false,
  clonesIntoCgroup: true,

  plan({ fs, hierarchy, origin, controllers }, request) {
    const { name, limits, place = { placedAs: "child" }, shared = () => NOTHING_SHARED } = request;
    const { key } = hierarchy;
    const { placedAs } = place;
    // Only a child of the origin can be in a tenant's cgroup there.
    const tenant = placedAs === "child" ? request.tenant : undefined;
    const group = tenant && `${origin}/${tenant.name}`;
    const base = place.placedAs === "scope" ? place.scope : origin;
    const path = placedAs === "in-place" ? origin : `${group ?? base}/${name}`;
    const threaded =
      placedAs === "child" &&
      (isAmongProcesses(fs, origin) || (group !== undefined && isAmongProcesses(fs, group)));
    const usable = controllers.filter(({ name: controller }) => !threaded || isThreaded(controller));
    const asked = usable.filter((controller) => isAskedForAnywhere(controller, limits, tenant));
    const changes: CgroupChange[] = [
      ...levelsAbove(hierarchy, path, place.placedAs, base).flatMap((level) =>
        planControllers(fs, key, level, namesOf(asked), shared),
      ),
      ...(placedAs === "in-place" ? [] : planControllers(fs, key, base, namesOf(usable), shared)),
      ...(placedAs === "in-place" ? [] : creations({ key, path, group, origin, threaded })),
    ];
    const directory: JobDirectory = {
      hierarchy,
      path,
      origin,
      placedAs,
      threaded,
      controllers: usable,
      ...(group === undefined ? {} : { tenant: group }),
    };
    const because = `${origin} holds processes, and among them cgroup v2 can limit cpu, cpuset and pids only`;
    const unavailable = controllers
      .filter((controller) => !usable.includes(controller))
      .map((controller) => ({ controller: controller.name, because }));
    return { directory, changes, unavailable };
  },

  usableControllers(fs, { controllers }, path) {
    const given = readWords(fs, `${path}/cgroup.controllers`);
    return CONTROLLERS.filter(({ name }) => controllers.includes(name) && given.includes(name));
  },

  isThreaded: (fs, path) => readType(fs, path) === "threaded",

  complete(job, directory) {
    return directory.placedAs === "in-place" ? completeInPlace(job, directory) : completeOwn(job, directory);
  },

  restoreControllers(job, directory, limits) {
    const { hierarchy, path, tenant } = directory;
    const asked = namesOf(CONTROLLERS.filter((controller) => isAskedFor(controller, limits)));
    const made: CgroupChange[] = [];
    for (const level of ancestorsOf(hierarchy, path).reverse()) {
      for (const change of planControllers(job.fs, hierarchy.key, level, asked, () => NOTHING_SHARED)) {
        const because = enableController(job.fs, level, change.controller);
        if (because !== undefined) job.unavailable.push({ controller: change.controller, because });
        // The tenant's cgroup goes away as a whole.
        else if (level !== tenant) made.push(change);
      }
    }
    const known = new Set(job.changes.map(changeKey));
    const added = made.filter((change) => !known.has(changeKey(change)));
    // Before the creations, as when a job is planned.
    job.changes = [...added, ...job.changes];
    const before = directory.controllers;
    directory.controllers = backendV2.usableControllers(job.fs, hierarchy, path);
    return directory.controllers
      .filter((controller) => !before.includes(controller))
      .flatMap(({ resets = [] }) => resets);
  },
};

/**
 * The cgroups above the one that gives controllers to the job's, from the top down. In place, the one above the owner's is
 * the last of them. systemd gives a scope its controllers all the way down.
 */
function levelsAbove(
  hierarchy: Hierarchy,
  path: string,
  placedAs: JobDirectory["placedAs"],
  base: string,
): string[] {
  if (placedAs === "scope") return [];
  return ancestorsOf(hierarchy, placedAs === "in-place" ? path : base).reverse();
}

function creations({
  key: hierarchy,
  path,
  group,
  origin,
  threaded,
}: {
  key: string;
  path: string;
  group: string | undefined;
  origin: string;
  threaded: boolean;
}): CgroupChange[] {
  const create = { kind: "cgroup-created", hierarchy, ...(threaded ? { threaded } : {}) } as const;
  return [
    ...(group === undefined ? [] : [{ ...create, path: group, role: "tenant" } as const]),
    { ...create, path, role: "job" },
    { kind: "processes-moved", hierarchy, from: origin, to: path },
  ];
}

function completeOwn(job: JobCgroup, directory: JobDirectory): boolean {
  const { fs } = job;
  const { path, tenant } = directory;
  if (tenant !== undefined) {
    const given = readWords(fs, `${tenant}/cgroup.controllers`);
    const names = namesOf(directory.controllers).filter((name) => given.includes(name));
    for (const controller of listDisabled(fs, tenant, names)) {
      const because = enableController(fs, tenant, controller);
      if (because !== undefined) job.unavailable.push({ controller, because });
    }
  }
  const given = readWords(fs, `${path}/cgroup.controllers`);
  directory.controllers = directory.controllers.filter(({ name }) => given.includes(name));
  // The origin got processes after the plan was made: with a controller on, no process can be below them.
  if (readType(fs, path) !== "domain invalid") return true;
  const base = dirname(tenant ?? path);
  const because = `${base} has got processes of its own, and a cgroup among them can hold no others`;
  job.unavailable.push(...directory.controllers.map(({ name }) => ({ controller: name, because })));
  return false;
}

/** In its owner's cgroup a job has the controllers that the cgroups above give. */
function completeInPlace(job: JobCgroup, directory: JobDirectory): boolean {
  const { path } = directory;
  const given = readWords(job.fs, `${path}/cgroup.controllers`);
  const keep = (isKept: (controller: CgroupController) => boolean, because: string): void => {
    const lost = directory.controllers.filter((controller) => !isKept(controller));
    job.unavailable.push(...lost.map(({ name }) => ({ controller: name, because })));
    directory.controllers = directory.controllers.filter(isKept);
  };
  keep(
    ({ name }) => given.includes(name),
    `it is not among the controllers of ${path} (cgroup.controllers): the cgroup above does not give it`,
  );
  if (!canRestoreCpus(job, directory)) {
    keep(
      ({ name }) => name !== "cpuset",
      `${path}/cpuset.cpus is empty, and the kernel empties it no more while processes are there`,
    );
  }
  return true;
}

/** A list that was empty is restored only by disabling its controller, if ffrtmp enabled it. */
function canRestoreCpus({ fs, changes }: JobCgroup, { path }: JobDirectory): boolean {
  const isOurs = changes.some(
    (change) =>
      change.kind === "controller-enabled" && change.path === dirname(path) && change.controller === "cpuset",
  );
  return isOurs || readText(fs, `${path}/cpuset.cpus`) !== "";
}

function isAskedForAnywhere(
  controller: CgroupController,
  limits: CgroupRequest["limits"],
  tenant: TenantGroup | undefined,
): boolean {
  return isAskedFor(controller, limits) || (tenant !== undefined && isAskedFor(controller, tenant.limits));
}

function namesOf(controllers: readonly CgroupController[]): string[] {
  return controllers.map(({ name }) => name);
}
