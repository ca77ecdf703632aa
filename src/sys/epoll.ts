import { addressOf, syscall, systemCall } from "./libc.ts";

const EPOLLIN = 0x1;
const EPOLLET = 0x8000_0000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const CLOSE_ON_EXEC = 0x80000;
const EINTR = 4;

// struct epoll_event { u32 events; u64 data; }, packed on x86_64 and nowhere else
const DATA_OFFSET = process.arch === "x64" ? 4 : 8;
const EVENT_BYTES = DATA_OFFSET + 8;

/** Creates an epoll set, which a thread may add to while another one waits on it. Returns it or −errno. */
export function createEpoll(): number {
  return syscall("epoll_create1", CLOSE_ON_EXEC);
}

/**
 * Adds a descriptor, to be reported under the caller's key when it is readable: with `"edge"` once for each
 * change, with `"level"` as long as it lasts. Returns 0 or −errno.
 */
export function addToEpoll(epollFd: number, fd: number, trigger: "edge" | "level", key: number): number {
  const event = new DataView(new ArrayBuffer(EVENT_BYTES));
  event.setUint32(0, trigger === "edge" ? EPOLLIN | EPOLLET : EPOLLIN, true);
  event.setFloat64(DATA_OFFSET, key, true);
  return syscall("epoll_ctl", epollFd, EPOLL_CTL_ADD, fd, event);
}

/** Removes a descriptor. Call it before closing `fd`, whose number may be reused. Returns 0 or −errno. */
export function removeFromEpoll(epollFd: number, fd: number): number {
  return syscall("epoll_ctl", epollFd, EPOLL_CTL_DEL, fd, 0);
}

/** Waits on an epoll set, with one reused buffer. Blocks the whole thread. */
export function epollWaiter(epollFd: number, capacity: number) {
  const events = new DataView(new ArrayBuffer(EVENT_BYTES * capacity));
  const address = addressOf(events);
  const epollWait = systemCall("epoll_pwait");
  return {
    /** Returns how many descriptors are ready, 0 after the timeout (−1: none) or a signal, or −errno. */
    wait(timeoutMs: number): number {
      const ready = epollWait(epollFd, address, capacity, timeoutMs);
      return ready === -EINTR ? 0 : ready;
    },
    keyAt: (index: number): number => events.getFloat64(index * EVENT_BYTES + DATA_OFFSET, true),
  };
}

/** Returns a descriptor that becomes readable through `signalEventfd` (eventfd(2)), or −errno. */
export function createEventfd(): number {
  return syscall("eventfd2", 0, CLOSE_ON_EXEC);
}

/** Makes an eventfd readable. Returns 8, the bytes written, or −errno. */
export function signalEventfd(fd: number): number {
  return syscall("write", fd, new BigUint64Array([1n]), 8);
}
