import { readMonotonicUsec } from "../../sys/clock.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { errnoName } from "../../sys/errno.ts";
import { encodeUnixAddress, openUnixDatagram, sendUnixDatagram } from "../../sys/unixSocket.ts";

/** Assignments of one message, as sd_notify(3) lists them. */
export type NotifyState = Readonly<Record<string, string | number>>;

export const READY: NotifyState = { READY: 1 };
export const STOPPING: NotifyState = { STOPPING: 1 };
export const WATCHDOG: NotifyState = { WATCHDOG: 1 };

/** The time lets the manager tell this reload from an earlier one (systemd 253); others ignore it. */
export function reloading(): NotifyState {
  return { RELOADING: 1, MONOTONIC_USEC: readMonotonicUsec() };
}

/**
 * Hold the descriptor that comes along, under this name. FDPOLL=0 (systemd 246): a pidfd reports a hang-up when its
 * process is reaped, at which the manager would let go of what we want to have held just then.
 */
export function storeFd(name: string): NotifyState {
  return { FDSTORE: 1, FDPOLL: 0, FDNAME: name };
}

export function dropFd(name: string): NotifyState {
  return { FDSTOREREMOVE: 1, FDNAME: name };
}

/** FDNAME takes visible ASCII without `:`, 255 characters at most; the manager ignores anything else. */
export function isFdName(name: string): boolean {
  return /^[!-9;-~]{1,255}$/.test(name);
}

/** One assignment to a line. A line break in a value would begin another assignment. */
export function formatNotifyState(state: NotifyState): string {
  return Object.entries(state)
    .map(([name, value]) => `${name}=${String(value).replace(/[\r\n]+/g, " ")}`)
    .join("\n");
}

/** `busy`: the manager has not read what it was sent before; to be tried again. */
export type SendResult = "sent" | "busy" | { reason: string };

/** The socket of the service manager that started us (sd_notify(3)). Sending never waits. */
export class NotifySocket {
  readonly #socket: number;
  readonly #address: Uint8Array;

  static open(name: string): NotifySocket | { reason: string } {
    const address = encodeUnixAddress(name);
    if (address === undefined) return { reason: `NOTIFY_SOCKET=${name} is no path and no abstract name` };
    const socket = openUnixDatagram();
    if (socket < 0) return { reason: `socket(AF_UNIX): ${errnoName(socket)}` };
    return new NotifySocket(socket, address);
  }

  private constructor(socket: number, address: Uint8Array) {
    this.#socket = socket;
    this.#address = address;
  }

  send(state: NotifyState, fd?: number): SendResult {
    const message = new TextEncoder().encode(formatNotifyState(state));
    const result = sendUnixDatagram(this.#socket, this.#address, message, fd);
    if (result >= 0) return "sent";
    const name = errnoName(result);
    return name === "EAGAIN" || name === "EINTR" || name === "ENOBUFS" ? "busy" : { reason: name };
  }

  close(): void {
    closeFd(this.#socket);
  }
}
