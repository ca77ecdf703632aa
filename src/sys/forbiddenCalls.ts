import { syscall } from "./libc.ts";

/** Above every pid that a kernel gives (PID_MAX_LIMIT is 2^22), and no descriptor. */
const NO_PID = 2 ** 30;
const NO_FD = -1;
const SIGTERM = 15;
const PTRACE_ATTACH = 16;

/**
 * Tries every call that a governor must not be able to make, each at a target that does not exist, so that
 * nothing can come of it. The results are −1 (EPERM) where the call is forbidden and something else
 * (ESRCH, EBADF, EFAULT, 0) where it would have been carried out.
 */
export function tryForbiddenCalls(): Record<string, number> {
  return {
    kill: syscall("kill", NO_PID, SIGTERM),
    tkill: syscall("tkill", NO_PID, SIGTERM),
    tgkill: syscall("tgkill", NO_PID, NO_PID, SIGTERM),
    rt_sigqueueinfo: syscall("rt_sigqueueinfo", NO_PID, SIGTERM, 0),
    rt_tgsigqueueinfo: syscall("rt_tgsigqueueinfo", NO_PID, NO_PID, SIGTERM, 0),
    pidfd_send_signal: syscall("pidfd_send_signal", NO_FD, SIGTERM, 0, 0),
    ptrace: syscall("ptrace", PTRACE_ATTACH, NO_PID, 0, 0),
    process_vm_readv: syscall("process_vm_readv", NO_PID, 0, 0, 0, 0, 0),
    process_vm_writev: syscall("process_vm_writev", NO_PID, 0, 0, 0, 0, 0),
    pidfd_getfd: syscall("pidfd_getfd", NO_FD, 0, 0),
    process_madvise: syscall("process_madvise", NO_FD, 0, 0, 0, 0),
  };
}
