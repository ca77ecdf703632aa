/**
 * The requested positions of a cgroup for a process that already runs. On cgroup v1 each of them means a child of the cgroup
 * that the process is in, because there all limits can be nested.
 */
export const PLACEMENTS = ["auto", "in-place", "nested", "scope"] as const;
export type Placement = (typeof PLACEMENTS)[number];

/**
 * The position of a job's cgroup relative to the one that its processes came from: below it; the same one, whose own limits
 * are tightened; in a scope of systemd beside it; or beside it without systemd.
 */
export type PlacedAs = "child" | "in-place" | "scope" | "beside";
