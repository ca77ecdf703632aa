import { readCapabilities, setEffective } from "./capabilities.ts";
import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
const CAP_DAC_OVERRIDE = 1n << 1n;
const ROOT = 0;

/** The numbers by which the kernel knows a user. */
export interface UserIds {
  readonly uid: number;
  readonly gid: number;
  /** The supplementary groups. */
  readonly groups: readonly number[];
}

/**
 * Gives the calling thread the ids of another user, for the child that it is about to spawn. Credentials belong to threads:
 * credentials(7), nptl(7). A child is a copy of the thread, and execve(2) takes its last right away: the saved uid 0, and with it
 * all capabilities. Until then the child can still enter a cgroup of root's, and the thread can go back.
 *
 * The thread, and all that it starts later, gains no privileges any more by a set-user-ID program (no_new_privs).
 *
 * Throws where this process may not do that, as in a container without CAP_SETUID; then the ids have not changed. `undo` restores
 * them.
 */
export function takeOnUser({ uid, gid, groups }: UserIds): { undo(): void } {
  const capabilities = readCapabilities();
  if (process.getuid?.() !== ROOT || process.geteuid?.() !== ROOT || capabilities === undefined)
    throw failure("setresuid", "EPERM");
  const [ownGid, ownGroups] = [process.getgid?.() ?? ROOT, process.getgroups?.() ?? []];
  call("prctl(PR_SET_NO_NEW_PRIVS)", syscall("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  // Kernels before 4.3 have no ambient capabilities, which would outlast execve(2).
  syscall("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  const undo = (): void => {
    call("setresuid", syscall("setresuid", ROOT, ROOT, ROOT));
    call("capset", setEffective(capabilities, capabilities.effective));
    call("setresgid", syscall("setresgid", ownGid, ownGid, ownGid));
    call("setgroups", setGroups(ownGroups));
  };
  try {
    call("setgroups", setGroups(groups));
    call("setresgid", syscall("setresgid", gid, gid, gid));
    call("setresuid", syscall("setresuid", uid, uid, ROOT));
    // Cloning into a cgroup of v2 needs the right to write its cgroup.procs: cgroup_css_set_fork() in kernel/cgroup/cgroup.c.
    call("capset", setEffective(capabilities, capabilities.permitted & CAP_DAC_OVERRIDE));
  } catch (error) {
    undo();
    throw error;
  }
  return { undo };
}

/** gid_t has 32 bits. */
function setGroups(groups: readonly number[]): number {
  const list = Uint32Array.from(groups);
  return syscall("setgroups", list.length, list.length === 0 ? 0 : list);
}

function call(name: string, result: number): void {
  if (result < 0) throw failure(name, errnoName(result));
}

function failure(name: string, code: string): Error {
  return new Error(`this root may not start a process of another user: ${name} failed with ${code}`);
}
