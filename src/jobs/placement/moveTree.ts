import { isInForce, type LimitOutcome, onlyPartly, refusedInstead } from "../../limits/outcome.ts";
import { type JobCgroup, listMembers } from "../../linux/cgroup/jobCgroup.ts";
import { listProcesses } from "../../linux/cgroup/members.ts";
import { moveProcess } from "../../linux/cgroup/moveProcess.ts";
import type { Host } from "../../linux/host.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { listTree } from "../../linux/proc/table.ts";

/** After this many scans, a workload that forks faster than it is moved is left as it is. */
const MAX_ROUNDS = 50;

/** A process that is outside of the job's directory in one hierarchy, which these controllers belong to. */
export interface LeftOutside {
  controllers: string[];
  pid: number;
  because: string;
  /** It could not be moved because it had ended. */
  hasEnded?: true;
}

/**
 * Moves a process and all its descendants into the job's cgroup, and scans again until no process is outside: a child
 * forked by a process that was not moved yet starts outside, one forked later inside. A descendant that another program
 * had put into another cgroup stays there, under the limits of that cgroup.
 */
export function moveTreeIntoCgroup(
  host: Host,
  cgroup: JobCgroup,
  root: ProcessIdentity,
): { pids: number[]; leftOutside: LeftOutside[] } {
  /** The pid of each process that was seen, by its pid and start time. */
  const settled = new Map<string, number>();
  const leftOutside: LeftOutside[] = [];
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const before = settled.size;
    // Every process in a directory that the job had before a migration is moved, a descendant of the root or not.
    const former = cgroup.directories.flatMap(({ formerly }) =>
      formerly === undefined ? [] : listProcesses(cgroup.fs, formerly),
    );
    for (const pid of new Set([...listTree(host, root.pid), ...former])) {
      const stat = readStat(host, pid);
      if (stat === "gone" || (pid === root.pid && stat.startTicks !== root.startTicks)) continue;
      const name = `${pid} ${stat.startTicks}`;
      if (settled.has(name)) continue;
      settled.set(name, pid);
      leftOutside.push(...moveIn(host, cgroup, pid, stat.startTicks, pid === root.pid));
    }
    if (settled.size === before) break;
  }
  if (!settled.has(`${root.pid} ${root.startTicks}`))
    leftOutside.push(...cgroup.directories.map((each) => endedBefore(each, root.pid)));
  return { pids: [...new Set(settled.values())], leftOutside };
}

function moveIn(
  host: Host,
  cgroup: JobCgroup,
  pid: number,
  startTicks: number,
  isRoot: boolean,
): LeftOutside[] {
  return cgroup.directories.flatMap((directory) => {
    const { hierarchy, origin, formerly, path, controllers } = directory;
    let outcome = moveProcess(host, pid, startTicks, { hierarchy, from: origin, to: path });
    if (formerly !== undefined && typeof outcome === "object" && "foundIn" in outcome) {
      outcome = moveProcess(host, pid, startTicks, { hierarchy, from: formerly, to: path });
    }
    if (outcome === "gone" && isRoot) return [endedBefore(directory, pid)];
    if (typeof outcome === "string") return [];
    const because = "foundIn" in outcome ? `it is in ${outcome.foundIn}` : outcome.reason;
    return [{ controllers: controllers.map(({ name }) => name), pid, because }];
  });
}

function endedBefore({ controllers }: JobCgroup["directories"][number], pid: number): LeftOutside {
  const because = "the process had ended before it could be moved into the job's cgroup";
  return { controllers: controllers.map(({ name }) => name), pid, because, hasEnded: true };
}

/** Moves every process in the job's cgroup back to where it came from. Returns a reason for each that could not be moved. */
export function moveBackToOrigin(host: Host, job: JobCgroup): string[] {
  // In place nothing was moved.
  const directories = job.directories.filter(({ placedAs }) => placedAs !== "in-place");
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const members = listMembers({ ...job, directories });
    if (members.length === 0) return [];
    const failures = members.flatMap((pid) => {
      const stat = readStat(host, pid);
      if (stat === "gone") return [];
      return directories.flatMap(({ hierarchy, origin, path }) => {
        const outcome = moveProcess(host, pid, stat.startTicks, { hierarchy, from: path, to: origin });
        return typeof outcome === "object" && "reason" in outcome ? [`PID ${pid}: ${outcome.reason}`] : [];
      });
    });
    if (failures.length > 0) return failures;
  }
  return [`new processes keep appearing in ${directories[0]?.path}`];
}

/** Corrects the outcomes of limits that do not reach every process of a job. */
export function withdrawFromOutsiders(
  outcomes: readonly LimitOutcome[],
  { directories }: JobCgroup,
  root: number,
  leftOutside: readonly LeftOutside[],
): LimitOutcome[] {
  const all = directories.flatMap(({ controllers }) => controllers);
  return outcomes.map((outcome) => {
    const controller = all.find(({ limits }) => outcome.limit in limits)?.name ?? "";
    const outsiders = leftOutside.filter(({ controllers }) => controllers.includes(controller));
    const rootOutside = outsiders.find(({ pid }) => pid === root);
    if (rootOutside?.hasEnded && isInForce(outcome))
      return { ...refusedInstead(outcome, rootOutside.because), processHadEnded: true };
    if (rootOutside) return refusedInstead(outcome, rootOutside.because);
    return outsiders
      .map(({ pid, because }) => `PID ${pid} stays outside: ${because}`)
      .reduce(onlyPartly, outcome);
  });
}
