import type { CgroupBackend } from "./backend.ts";
import type { CgroupController } from "./controller.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { backendV1 } from "./v1/backend.ts";
import { backendV2 } from "./v2/backend.ts";

/** Returns the backend of a hierarchy: the one place where the cgroup version is asked. */
export function backendOf({ version }: Pick<Hierarchy, "version">): CgroupBackend {
  return version === 1 ? backendV1 : backendV2;
}

export function controllersOf(hierarchy: Hierarchy): CgroupController[] {
  return backendOf(hierarchy).controllers.filter(({ name }) => hierarchy.controllers.includes(name));
}
