import { expect } from "bun:test";
import { describeOn } from "../../../test/support/cgroupJobs.ts";
import { type CgroupMachine, REAL_V1, REAL_V2 } from "../../../test/support/cgroupMachines.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import type { Usage } from "../../limits/usage.ts";

interface Tried {
  /** The directories that were created. */
  made: number;
  outcomes: LimitOutcome[];
  joined: unknown[];
  usage: Usage;
  left: string[];
}

/**
 * Makes a job's cgroup, applies limits and removes it, in a process of its own that is started by this shell command.
 * On v2 that process is at the top of all cgroups, so that nothing else is missing.
 */
async function tryUnder({ hierarchies, version }: CgroupMachine, shell: string): Promise<Tried> {
  const program = `${import.meta.dir}/../../../test/support/programs/tryCgroupLimits.ts`;
  const child = Bun.spawn(["sh", "-c", shell, "sh", process.execPath, program], {
    stdout: "pipe",
    stderr: "pipe",
    ...(version === 2 ? { cgroup: hierarchies[0]?.mountPoint as string } : {}),
  });
  const [text, complaints] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode !== 0) throw new Error(complaints);
  return JSON.parse(text);
}

/** Mounts changed in a mount namespace of its own go with the process that made it. */
function inMountNamespace(machine: CgroupMachine, change: string): string {
  const changes = machine.hierarchies.map(({ mountPoint }) => `${change} '${mountPoint}'`);
  return `exec unshare --mount --propagation private sh -c "${changes.join(" && ")} && exec \\"\\$@\\"" sh "$@"`;
}

for (const choice of [REAL_V1, REAL_V2]) {
  describeOn(choice, "governing without the rights or cgroups that it needs", (it) => {
    it("changes nothing in a cgroup tree that is mounted read-only, and names the tree", async (machine) => {
      const tried = await tryUnder(machine, inMountNamespace(machine, "mount -o remount,ro,bind"));
      expect(tried).toMatchObject({ made: 0, joined: [], left: [] });
      expect(tried.outcomes).toHaveLength(5);
      for (const { outcome, because } of tried.outcomes) {
        expect(outcome).toBe("unsupported");
        expect(because).toMatch(/^\/\S+ is mounted read-only here$/);
      }
    });

    it("changes nothing for a user without the right to create cgroups, and names each path", async (machine) => {
      const tried = await tryUnder(machine, 'exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"');
      expect(tried).toMatchObject({ made: 0, joined: [], left: [] });
      expect(tried.outcomes).toHaveLength(5);
      for (const { outcome, because } of tried.outcomes) {
        expect(outcome).toBe("unsupported");
        expect(because).toMatch(/^EACCES \(permission denied\) making \/\S+\/ffrtmp-test-try-\d+$/);
      }
    });

    it("changes nothing where no cgroups are mounted, and names what is missing", async (machine) => {
      const tried = await tryUnder(machine, inMountNamespace(machine, "umount -l"));
      expect(tried).toMatchObject({ made: 0, joined: [], left: [] });
      expect(tried.outcomes.map(({ because }) => because)).toEqual([
        "no cgroup controller for it is mounted (cpu)",
        "no cgroup controller for it is mounted (memory)",
        "no cgroup controller for it is mounted (io or blkio)",
        "no cgroup controller for it is mounted (pids)",
        "no cgroup controller for it is mounted (cpuset)",
      ]);
      expect(Object.values(tried.usage)).toEqual(Array(11).fill(null));
    });
  });
}
