import type { Job } from "../model/job.ts";

/** The cgroup of who keeps a scope, beside the job's: what is in the same cgroup as processes could not be limited in all. */
export const KEEPERS_CGROUP = "observer";

/** How often a keeper without an observer looks, in seconds. A job that is released must not wait long for it. */
const LOOK_SECONDS = 1;
/** How long it waits for somebody who reads the counters of a job that has ended, in seconds. */
const PATIENCE_SECONDS = 300;

/**
 * Sits in a scope, which systemd clears away, counters and all, the moment its last process has ended. `$1` is the job's
 * cgroup there; it is removed when it was read.
 *
 * While its observer lives, the shell waits for a line or the end of its input. A line says that it is not needed. When the
 * observer has ended, the shell stays until another keeps the scope, or the job has ended and its cgroup was read, or
 * nobody has come to read it for a time: nothing is left for ever.
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

/** Those whose input ends with this process, by the key of their job. */
const keepers = new Map<string, Keeper>();

/** Starts the keeper of a job's scope, which has to be put there. In a session of its own: no terminal's Ctrl-C ends it. */
export function startKeeper({ key }: Pick<Job, "key">, jobCgroup: string): { pid: number } {
  const keeper = spawnKeeper(jobCgroup);
  keepers.set(key, keeper);
  return keeper;
}

/** With other times for tests. */
export function spawnKeeper(
  jobCgroup: string,
  { lookSeconds = LOOK_SECONDS, patienceSeconds = PATIENCE_SECONDS } = {},
): Keeper {
  const words = [jobCgroup, lookSeconds, Math.ceil(patienceSeconds / lookSeconds)].map(String);
  const keeper = Bun.spawn(["sh", "-c", SCRIPT, "ffrtmp-keeper", ...words], {
    stdio: ["pipe", "ignore", "ignore"],
    // It may outlive us by days, and must hold no directory, nor speak for us to a service manager.
    cwd: "/",
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
    detached: true,
  });
  keeper.unref();
  return keeper;
}

/** The counters were read, and the cgroup is gone: the keeper sees that when its input ends. */
export function releaseKeeper({ key }: Pick<Job, "key">): void {
  void keepers.get(key)?.stdin.end();
  keepers.delete(key);
}

/** There is nothing to keep. */
export function dismissKeeper({ key }: Pick<Job, "key">): void {
  keepers.get(key)?.stdin.write("\n");
  releaseKeeper({ key });
}
