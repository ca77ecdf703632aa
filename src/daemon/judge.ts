import type { Context } from "../jobs/context.ts";
import { isGovernedPath, type JobSpec } from "../jobs/job.ts";
import { readMembership } from "../linux/cgroup/hierarchies.ts";
import { isForbidden } from "../linux/host.ts";
import { hasEnded, readStat } from "../linux/proc/stat.ts";
import { runsSameFile } from "../linux/proc/table.ts";
import { type Decision, decide } from "../policy/decide.ts";
import { type Policy, totalOf } from "../policy/policy.ts";
import type { FactReader } from "../policy/procFacts.ts";

/** What `watch` makes of a process, and why. */
export type Judgement =
  | { govern: true; pid: number; startTicks: number; decision: Decision & { govern: true } }
  | {
      govern: false;
      pid: number;
      because: string;
      /** Nothing but its age speaks against it: when to judge it again. */
      retry?: { inMs: number; startTicks: number };
    };

/** Looks at a process and decides; changes nothing. The dry run and the real one share it. */
export function judgeProcess(context: Context, policy: Policy, reader: FactReader, pid: number): Judgement {
  try {
    return judgeVisible(context, policy, reader, pid);
  } catch (error) {
    if (isForbidden(error)) return { govern: false, pid, because: "procfs hides it from us" };
    throw error;
  }
}

function judgeVisible(context: Context, policy: Policy, reader: FactReader, pid: number): Judgement {
  const { host } = context;
  const refuse = (because: string): Judgement => ({ govern: false, pid, because });
  if (pid === context.self.pid) return refuse("it is this ffrtmp");
  const stat = readStat(host, pid);
  if (stat === "gone" || hasEnded(stat)) return refuse("it has ended");
  if (stat.isKernelThread) return refuse("it is a thread of the kernel");
  const decision = decide(policy, reader.of(stat));
  const { startTicks } = stat;
  if (!decision.govern) {
    const { because, retryInMs } = decision;
    if (retryInMs === undefined) return refuse(because);
    return { govern: false, pid, because, retry: { inMs: retryInMs, startTicks } };
  }
  const because = whyNotTaken(context, pid, stat);
  return because === undefined ? { govern: true, pid, startTicks, decision } : refuse(because);
}

/** What speaks against governing a process whatever the policy says; asked last, because it costs more. */
function whyNotTaken(
  { host, ledger, bootId }: Context,
  pid: number,
  { startTicks, ppid }: { startTicks: number; ppid: number },
): string | undefined {
  const membership = readMembership(host, pid);
  if (membership === "gone") return "it has ended";
  if ([...membership.values()].some(isGovernedPath)) return "it is governed already";
  // By the record too: after an upgrade the wrappers of before run another file than we do.
  const process = { bootId, pid, startTicks };
  if (runsSameFile(host, pid, "self") || ledger.isObserver(process)) return "it is an ffrtmp too";
  if (ledger.openJobOfProcess(process)) return "it is governed already";
  if (ledger.jobBeingStartedBy(bootId, ppid)) return "it is being started by ffrtmp run";
  if (ledger.wasDetached(process)) return "it was released by detach";
  return undefined;
}

/** What a decision asks for, with the total of its tenant. */
export function jobSpecOf(
  policy: Policy,
  { limits, tenant, labels, intent, placement }: Decision & { govern: true },
): Omit<JobSpec, "jobId"> {
  return {
    limits,
    intent: intent ?? null,
    slaEligible: true,
    tenant: tenant === undefined ? null : { name: tenant, limits: totalOf(policy, tenant) ?? {} },
    labels: { ...labels },
    ...(placement === undefined ? {} : { placement }),
  };
}
