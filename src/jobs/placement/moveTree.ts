import { type LimitOutcome, refusedInstead } from "../../limits/outcome.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { listMembers } from "../../linux/cgroup/jobCgroup.ts";
import { listProcesses } from "../../linux/cgroup/members.ts";
import { moveProcess } from "../../linux/cgroup/moveProcess.ts";
import type { Host } from "../../linux/host.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { listTree } from "../../linux/proc/table.ts";

/** Rounds after which a workload that forks faster than we move is left as it is; each round takes in all it saw. */
const MAX_ROUNDS = 50;

/** What stayed outside of one hierarchy's job directory, and why. */
export interface LeftOutside {
  controllers: string[];
  pid: number;
  because: string;
}

/**
 * Moves a process and all its descendants into the job's cgroup, and goes on until a look finds nobody outside:
 * a child forked by a process that was not moved yet is born outside, one forked later inside.
 * A descendant that somebody had put into another cgroup stays there: what limits it goes on doing so.
 */
export function moveTreeIntoCgroup(
  host: Host,
  cgroup: JobCgroup,
  root: ProcessIdentity,
): { pids: number[]; leftOutside: LeftOutside[] } {
  const settled = new Set<string>();
  const leftOutside: LeftOutside[] = [];
  const pids = new Set<number>();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let isStable = true;
    for (const pid of new Set([...listTree(host, root.pid), ...listFormer(cgroup)])) {
      const stat = readStat(host, pid);
      if (stat === "gone" || (pid === root.pid && stat.startTicks !== root.startTicks)) continue;
      pids.add(pid);
      const name = `${pid} ${stat.startTicks}`;
      if (settled.has(name)) continue;
      isStable = false;
      settled.add(name);
      leftOutside.push(...moveIn(host, cgroup, pid, stat.startTicks));
    }
    if (isStable) break;
  }
  return { pids: [...pids], leftOutside };
}

/** Who is in the directories that the job had before it was regrouped, descendants of the root or not. */
function listFormer({ fs, directories }: JobCgroup): number[] {
  return directories.flatMap(({ formerly }) => (formerly === undefined ? [] : listProcesses(fs, formerly)));
}

function moveIn(host: Host, cgroup: JobCgroup, pid: number, startTicks: number): LeftOutside[] {
  return cgroup.directories.flatMap(({ hierarchy, origin, formerly, path, controllers }) => {
    let outcome = moveProcess(host, pid, startTicks, { hierarchy, from: origin, to: path });
    if (formerly !== undefined && typeof outcome === "object" && "foundIn" in outcome) {
      outcome = moveProcess(host, pid, startTicks, { hierarchy, from: formerly, to: path });
    }
    if (typeof outcome === "string") return [];
    const because = "foundIn" in outcome ? `it is in ${outcome.foundIn}` : outcome.reason;
    return [{ controllers: controllers.map(({ name }) => name), pid, because }];
  });
}

/** Moves everything in the job's cgroup back to where it came from. Returns what could not be moved. */
export function moveBackToOrigin(host: Host, job: JobCgroup): string[] {
  // In place nothing was moved.
  const cgroup = { ...job, directories: job.directories.filter(({ placedAs }) => placedAs !== "in-place") };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const members = listMembers(cgroup);
    if (members.length === 0) return [];
    const failures = members.flatMap((pid) => moveOut(host, cgroup, pid));
    if (failures.length > 0) return failures;
  }
  return [`processes go on appearing in ${cgroup.directories[0]?.path}`];
}

function moveOut(host: Host, cgroup: JobCgroup, pid: number): string[] {
  const stat = readStat(host, pid);
  if (stat === "gone") return [];
  return cgroup.directories.flatMap(({ hierarchy, origin, path }) => {
    const outcome = moveProcess(host, pid, stat.startTicks, { hierarchy, from: path, to: origin });
    return typeof outcome === "object" && "reason" in outcome ? [`PID ${pid}: ${outcome.reason}`] : [];
  });
}

/** Corrects what was applied to a cgroup by who is really in it. */
export function withdrawFromOutsiders(
  outcomes: readonly LimitOutcome[],
  cgroup: JobCgroup,
  root: number,
  leftOutside: LeftOutside[],
): LimitOutcome[] {
  return outcomes.map((outcome) => {
    const controller = cgroup.directories
      .flatMap(({ controllers }) => controllers)
      .find(({ limits }) => outcome.limit in limits)?.name;
    const outsiders = leftOutside.filter(
      ({ controllers }) => controller !== undefined && controllers.includes(controller),
    );
    const rootOutside = outsiders.find(({ pid }) => pid === root);
    if (rootOutside) return refusedInstead(outcome, rootOutside.because);
    if (outsiders.length === 0 || outcome.outcome === "refused" || outcome.outcome === "unsupported")
      return outcome;
    const said = outcome.because === undefined ? [] : [outcome.because];
    const news = outsiders
      .map(({ pid, because }) => `PID ${pid} stays outside: ${because}`)
      .filter((text) => !said.some((earlier) => earlier.includes(text)));
    return { ...outcome, outcome: "partial", because: [...said, ...news].join("; ") };
  });
}
