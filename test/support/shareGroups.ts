import type { ShareGroup } from "../../src/metrics/shares/model.ts";

/** Returns a cgroup of the default weight, without threads, unless the fields say otherwise. */
export const shareGroup = (path: string, fields: Partial<ShareGroup> = {}): ShareGroup => ({
  path,
  weight: 100,
  quotaCores: null,
  cpus: null,
  threads: [],
  children: [],
  ...fields,
});
