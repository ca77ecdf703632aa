import type { EnabledAbove, JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import type { StoredDirectory } from "../../linux/cgroup/planJobCgroup.ts";
import type { Context } from "../context.ts";
import type { Job } from "../model/job.ts";

/**
 * Controllers of cgroup v2 that were switched on for a job stay on while another job lies where they are needed. That one
 * takes over to switch them off: the last job leaves everything as the first one found it. To be called before the job's
 * own directories go, so that a death in between leaves nothing on for good.
 */
export function handOverControllers(
  { ledger }: Context,
  { key: ownKey }: Pick<Job, "key">,
  cgroup: JobCgroup,
): void {
  const giving = cgroup.directories.filter(
    ({ enabled, enabledAbove }) => enabled.length > 0 || enabledAbove.length > 0,
  );
  if (giving.length === 0) return;
  const others = ledger.jobsToCleanUp().filter(({ key }) => key !== ownKey);
  for (const { hierarchy, origin, enabled, enabledAbove } of giving) {
    const isBeside = (other: StoredDirectory) => other.hierarchy === hierarchy.key && other.origin === origin;
    change(isBeside, (heir) => ({ ...heir, enabled: union(heir.enabled, enabled) }));
    for (const level of enabledAbove) {
      const isBelow = ({ hierarchy: key, path }: StoredDirectory) =>
        key === hierarchy.key && path.startsWith(`${level.path}/`);
      change(isBelow, (heir) => ({
        ...heir,
        enabledAbove: withLevel(heir.enabledAbove ?? [], level),
      }));
    }
  }

  function change(
    isHeir: (directory: StoredDirectory) => boolean,
    inherit: (directory: StoredDirectory) => StoredDirectory,
  ): void {
    const index = others.findIndex(({ cgroup: directories }) => directories.some(isHeir));
    const heir = others[index];
    if (!heir) return;
    const directories = heir.cgroup.map((each) => (isHeir(each) ? inherit(each) : each));
    // A job with processes left behind hands its controllers over again at each scan.
    if (JSON.stringify(directories) !== JSON.stringify(heir.cgroup)) {
      others[index] = ledger.recordCgroup(heir, directories);
    }
  }
}

/** Levels stay in their order, from the top down. */
function withLevel(levels: EnabledAbove[], { path, controllers }: EnabledAbove): EnabledAbove[] {
  const known = levels.find((each) => each.path === path);
  if (!known) {
    return [...levels, { path, controllers }].sort((a, b) => a.path.length - b.path.length);
  }
  const both = { path, controllers: union(known.controllers, controllers) };
  return levels.map((each) => (each === known ? both : each));
}

function union(a: string[], b: string[]): string[] {
  return [...new Set([...a, ...b])];
}
