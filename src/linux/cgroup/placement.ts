/**
 * Where the cgroup of a process that already runs is to be, as it is asked for. On cgroup v1 every one of them comes to a
 * child of the cgroup that the process is in, because there all limits can be nested.
 */
export const PLACEMENTS = ["auto", "in-place", "nested", "scope"] as const;
export type Placement = (typeof PLACEMENTS)[number];

/**
 * How a job's cgroup lies to the one that its processes came from: below it; the same one, whose own limits are
 * tightened; or in a scope of its own beside it.
 */
export type PlacedAs = "child" | "in-place" | "scope";
