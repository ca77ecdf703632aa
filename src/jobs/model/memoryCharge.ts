import type { Job } from "./job.ts";

/**
 * Returns why the memory of a job is charged to its cgroup only in part; `undefined` when all of it is. The kernel charges a
 * page to the cgroup of the process that uses it first, and does not move the charge with the process.
 */
export function whyMemoryIsPartial({
  mode,
  cgroup,
  carriedUsage,
}: Pick<Job, "mode" | "cgroup" | "carriedUsage">): string | undefined {
  if (carriedUsage !== null) return "charged elsewhere before it was moved to another cgroup";
  // `run` starts a workload inside of its cgroup. In place, a process stays where its memory is charged.
  const isWhole = mode === "run" || cgroup.some(({ placedAs }) => placedAs === "in-place");
  return isWhole ? undefined : "charged elsewhere before it was governed";
}
