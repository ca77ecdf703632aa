import { syscall } from "./libc.ts";

const F_SETFD = 2;
const F_DUPFD_CLOEXEC = 1030;
const FD_CLOEXEC = 1;
/** The descriptors below are a program's own three. */
const LOWEST = 3;

/** No program that is executed from here on gets this descriptor (fcntl(2), F_SETFD). Returns 0 or −errno. */
export function closeOnExec(fd: number): number {
  return syscall("fcntl", fd, F_SETFD, FD_CLOEXEC);
}

/** A second descriptor of the same open file, close-on-exec (fcntl(2), F_DUPFD_CLOEXEC). Returns it or −errno. */
export function duplicate(fd: number): number {
  return syscall("fcntl", fd, F_DUPFD_CLOEXEC, LOWEST);
}

/** Closes a descriptor. Returns 0 or −errno. */
export function closeFd(fd: number): number {
  return syscall("close", fd);
}
