export type SyscallArch = "x86_64" | "aarch64";

/** Returns the architecture that this process runs on; `undefined` when the table below lacks it. */
export function hostArch(arch: string = process.arch): SyscallArch | undefined {
  return arch === "x64" ? "x86_64" : arch === "arm64" ? "aarch64" : undefined;
}

// [x86_64, aarch64], from arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h
const NUMBERS = {
  bind: [49, 200],
  clock_gettime: [228, 113],
  close: [3, 57],
  epoll_create1: [291, 20],
  epoll_ctl: [233, 21],
  epoll_pwait: [281, 22],
  eventfd2: [290, 19],
  execve: [59, 221],
  exit: [60, 93],
  exit_group: [231, 94],
  fcntl: [72, 25],
  flock: [73, 32],
  getpid: [39, 172],
  getsockopt: [55, 209],
  gettid: [186, 178],
  ioctl: [16, 29],
  ioprio_get: [252, 31],
  ioprio_set: [251, 30],
  kill: [62, 129],
  pidfd_getfd: [438, 438],
  pidfd_open: [434, 434],
  pidfd_send_signal: [424, 424],
  ppoll: [271, 73],
  prctl: [157, 167],
  prlimit64: [302, 261],
  process_madvise: [440, 440],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  ptrace: [101, 117],
  read: [0, 63],
  recvfrom: [45, 207],
  recvmsg: [47, 212],
  rt_sigaction: [13, 134],
  rt_sigqueueinfo: [129, 138],
  rt_tgsigqueueinfo: [297, 240],
  seccomp: [317, 277],
  sendmsg: [46, 211],
  sendto: [44, 206],
  setsockopt: [54, 208],
  socket: [41, 198],
  tgkill: [234, 131],
  tkill: [200, 130],
  write: [1, 64],
} as const satisfies Record<string, readonly [number, number]>;

export type SyscallName = keyof typeof NUMBERS;

export function syscallNumber(name: SyscallName, arch: SyscallArch): number {
  return NUMBERS[name][arch === "x86_64" ? 0 : 1];
}
