import { syscall } from "./libc.ts";

const F_SETFD = 2;
const F_DUPFD_CLOEXEC = 1030;
const FD_CLOEXEC = 1;
const FIRST_AFTER_STDIO = 3;

/** Closes a descriptor in programs that are executed later (fcntl(2), F_SETFD). Returns 0 or −errno. */
export function closeOnExec(fd: number): number {
  return syscall("fcntl", fd, F_SETFD, FD_CLOEXEC);
}

/** Leaves a descriptor open for a program that this process executes. Returns 0 or −errno. */
export function keepOnExec(fd: number): number {
  return syscall("fcntl", fd, F_SETFD, 0);
}

/** Returns a second descriptor of the same open file, close-on-exec (F_DUPFD_CLOEXEC), or −errno. */
export function duplicate(fd: number): number {
  return syscall("fcntl", fd, F_DUPFD_CLOEXEC, FIRST_AFTER_STDIO);
}

/** Closes a descriptor. Returns 0 or −errno. */
export function closeFd(fd: number): number {
  return syscall("close", fd);
}
