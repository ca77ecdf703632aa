import { readPidfdInfo } from "../../linux/proc/identity.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { readPidfdExit } from "../../sys/pidfd.ts";
import type { Context } from "../context.ts";
import { type Ending, endingOfStatus } from "../model/ending.ts";
import type { Job } from "../model/job.ts";

/**
 * Compares a pidfd that a service manager kept for a job while no ffrtmp observed it. `"there"`: it is of the job's
 * process, which is alive or a zombie. An ending: the process is gone. `"stranger"`: it is no pidfd, or of another process
 * or another boot. A pidfd of a process that is gone has no pid any more. That it is the job's then depends on its name in
 * the store: the job's key, which is used once, after the identity was checked.
 */
export function matchStoredPidfd(context: Context, job: Job, pidfd: number): "there" | "stranger" | Ending {
  if (job.state !== "running" || job.process.bootId !== context.bootId) return "stranger";
  const { pid, startTicks } = job.process;
  const pidOfFd = readPidfdInfo(context.host, pidfd);
  if (pidOfFd !== pid && pidOfFd !== "gone") return "stranger";
  const stat = pidOfFd === pid ? readStat(context.host, pid) : "gone";
  if (stat !== "gone") return stat.startTicks === startTicks ? "there" : "stranger";
  const record = readPidfdExit(pidfd);
  if (typeof record === "object") return endingOfStatus(record.status, "pidfd");
  const reason =
    record === "unsupported"
      ? "pidfds of this kernel keep no exit record (Linux 6.15 does)"
      : "its pidfd has no exit record";
  return { kind: "unobserved", reason: `it ended while no ffrtmp observed it, and ${reason}` };
}
