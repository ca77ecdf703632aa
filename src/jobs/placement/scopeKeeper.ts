import { startProcess } from "../../sys/scheduling.ts";
import type { Job } from "../model/job.ts";

/** The cgroup of the processes that keep a scope, beside the job's: a limit on that cgroup must not apply to them. */
export const KEEPERS_CGROUP = "observer";

/** The interval at which a keeper without an observer reads the job's state. A job that is detached must not wait long for it. */
const INTERVAL_SECONDS = 1;
/** The longest wait for an ffrtmp that reads the counters of an ended job. */
const TIMEOUT_SECONDS = 300;

/**
 * Keeps a scope, which systemd removes with its counters when its last process has ended. `$1` is the job's cgroup there,
 * which is removed after its counters were read.
 *
 * While the observer lives, the shell waits for a line or the end of its input. A line means that it is not needed. When
 * the observer has ended, the shell stays until another process keeps the scope, or the job has ended and its cgroup was
 * read, or the timeout is over, so that nothing stays for ever.
 */
const SCRIPT = `
isPopulated() {
  while read -r name value; do
    [ "$name $value" = "populated 1" ] && return 0
  done < "$job/cgroup.events"
  return 1
}
isFollowed() {
  while read -r pid; do
    [ "$pid" = $$ ] || return 0
  done < "\${job%/*}/${KEEPERS_CGROUP}/cgroup.procs"
  return 1
}
job=$1 left=$3
read -r line && exit
while isPopulated && ! isFollowed; do sleep "$2"; done
while [ -d "$job" ] && ! isFollowed && [ "$left" -gt 0 ]; do
  sleep "$2"
  left=$((left - 1))
done
`;

type Keeper = Bun.Subprocess<"pipe", "ignore", "ignore">;

/** The keepers whose input ends with this process, by the key of their job. */
const keepers = new Map<string, Keeper>();

/** Starts the keeper of a job's scope, which the caller moves there. Tests use shorter times. */
export function startKeeper(
  { key }: Pick<Job, "key">,
  jobCgroup: string,
  { intervalSeconds = INTERVAL_SECONDS, timeoutSeconds = TIMEOUT_SECONDS } = {},
): Keeper {
  const words = [jobCgroup, intervalSeconds, Math.ceil(timeoutSeconds / intervalSeconds)].map(String);
  const keeper = startProcess(() =>
    Bun.spawn(["sh", "-c", SCRIPT, "ffrtmp-keeper", ...words], {
      stdio: ["pipe", "ignore", "ignore"],
      // It can outlive this process by days, and must keep no directory busy and not notify a service manager as ffrtmp.
      cwd: "/",
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
      // Its own session: no terminal's Ctrl-C ends it.
      detached: true,
    }),
  );
  keeper.unref();
  keepers.set(key, keeper);
  return keeper;
}

/**
 * Ends the input of a keeper, which then exits as soon as the job's cgroup is gone. Call after the last read of the job's
 * counters: systemd may remove the scope then.
 */
export function releaseKeeper({ key }: Pick<Job, "key">): void {
  void keepers.get(key)?.stdin.end();
  keepers.delete(key);
}

/** Ends a keeper whose scope was not started. */
export function dismissKeeper(job: Pick<Job, "key">): void {
  keepers.get(job.key)?.stdin.write("\n");
  releaseKeeper(job);
}
