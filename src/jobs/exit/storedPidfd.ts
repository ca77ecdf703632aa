import { readPidfdInfo } from "../../linux/proc/pidfdInfo.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { readPidfdExit } from "../../sys/pidfd.ts";
import type { Context } from "../context.ts";
import { type Ending, endingOfStatus } from "../model/ending.ts";
import type { Job } from "../model/job.ts";

/**
 * What a pidfd that was kept for a job while no ffrtmp looked tells of it.
 *
 * `"there"`: it holds the job's own process, which lives, or has ended and was not reaped. An ending: the process is
 * gone. `"stranger"`: it is no pidfd, another process's, or of another boot.
 *
 * A pidfd of a process that is gone names no pid any more. That it is the job's then rests on who kept it: it was
 * given away under the job's key, which is used once, with its identity checked.
 */
export function matchStoredPidfd(context: Context, job: Job, pidfd: number): "there" | "stranger" | Ending {
  if (job.state !== "running" || job.process.bootId !== context.bootId) return "stranger";
  const { pid, startTicks } = job.process;
  const heldPid = readPidfdInfo(context.host, pidfd);
  if (heldPid === pid) {
    const stat = readStat(context.host, pid);
    if (stat !== "gone") return stat.startTicks === startTicks ? "there" : "stranger";
    // It was reaped just now.
  } else if (heldPid !== "gone") return "stranger";
  const record = readPidfdExit(pidfd);
  if (typeof record === "object") return endingOfStatus(record.status, "pidfd");
  const reason =
    record === "unsupported"
      ? "pidfds of this kernel keep no exit record (Linux 6.15 does)"
      : "its pidfd has no exit record";
  return { kind: "unobserved", reason: `it ended while no ffrtmp observed it, and ${reason}` };
}
