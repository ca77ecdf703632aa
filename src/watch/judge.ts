import type { Governor } from "../govern/governor.ts";
import { isGovernedPath } from "../govern/job.ts";
import { readMembership } from "../kernel/cgroup/hierarchies.ts";
import { isForbidden } from "../kernel/host.ts";
import { hasEnded, readStat } from "../kernel/proc/stat.ts";
import { readArguments, readExecutable } from "../kernel/proc/table.ts";
import { matchTarget } from "../policy/targets.ts";

/** What `watch` makes of a process, and why. */
export type Judgement =
  | { govern: true; pid: number; target: string }
  | { govern: false; pid: number; because: string };

/** Looks at a process and decides; changes nothing. The dry run and the real one share it. */
export function judgeProcess(governor: Governor, targets: readonly string[], pid: number): Judgement {
  const refuse = (because: string): Judgement => ({ govern: false, pid, because });
  try {
    return judgeVisible(governor, targets, pid, refuse);
  } catch (error) {
    if (isForbidden(error)) return refuse("procfs hides it from us");
    throw error;
  }
}

function judgeVisible(
  governor: Governor,
  targets: readonly string[],
  pid: number,
  refuse: (because: string) => Judgement,
): Judgement {
  const { host, ledger, bootId } = governor;
  if (pid === governor.self.pid) return refuse("it is this ffrtmp");
  const stat = readStat(host, pid);
  if (stat === "gone" || hasEnded(stat)) return refuse("it has ended");
  if (stat.isKernelThread) return refuse("it is a thread of the kernel");
  const target = matchTarget(targets, {
    comm: stat.comm,
    argv0: readArguments(host, pid)[0] ?? "",
    executable: readExecutable(host, pid),
  });
  if (target === undefined) return refuse("it goes by none of the targets");
  const membership = readMembership(host, pid);
  if (membership === "gone") return refuse("it has ended");
  if ([...membership.values()].some(isGovernedPath)) return refuse("it is governed already");
  if (ledger.openJobOfProcess(bootId, pid, stat.startTicks)) return refuse("it is governed already");
  if (ledger.jobBeingStartedBy(bootId, stat.ppid)) return refuse("it is being started by ffrtmp run");
  if (ledger.wasDetached(bootId, pid, stat.startTicks)) return refuse("it was released by detach");
  return { govern: true, pid, target };
}
