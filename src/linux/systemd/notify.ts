import { readMonotonicUsec } from "../../sys/clock.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { errnoName } from "../../sys/errno.ts";
import { encodeUnixAddress, openUnixDatagram, sendUnixDatagram } from "../../sys/unixSocket.ts";

/** The assignments of one message: sd_notify(3). */
export type NotifyState = Readonly<Record<string, string | number>>;

export const READY: NotifyState = { READY: 1 };
export const STOPPING: NotifyState = { STOPPING: 1 };
export const WATCHDOG: NotifyState = { WATCHDOG: 1 };

/** The time lets the manager distinguish this reload from an earlier one (systemd 253); other managers ignore it. */
export function reloading(): NotifyState {
  return { RELOADING: 1, MONOTONIC_USEC: readMonotonicUsec() };
}

/**
 * Asks the manager to store the descriptor of the message under a name. FDPOLL=0 (systemd 246) keeps it after a hang-up: a
 * pidfd reports one when its process is reaped, which is just when its exit record is needed.
 */
export function storeFd(name: string): NotifyState {
  return { FDSTORE: 1, FDPOLL: 0, FDNAME: name };
}

export function dropFd(name: string): NotifyState {
  return { FDSTOREREMOVE: 1, FDNAME: name };
}

/** FDNAME is visible ASCII without `:`, at most 255 characters; the manager ignores any other name. */
export function isFdName(name: string): boolean {
  return /^[!-9;-~]{1,255}$/.test(name);
}

/** Writes one assignment per line. Line breaks in values are replaced: they would start another assignment. */
export function formatNotifyState(state: NotifyState): string {
  return Object.entries(state)
    .map(([name, value]) => `${name}=${String(value).replace(/[\r\n]+/g, " ")}`)
    .join("\n");
}

/** `busy`: the queue of the manager is full; try again later. */
export type SendResult = "sent" | "busy" | { reason: string };

/** The socket of the service manager that started us (sd_notify(3)). Sending never waits. */
export class NotifySocket {
  readonly #socket: number;
  readonly #address: Uint8Array;

  static open(name: string): NotifySocket | { reason: string } {
    const address = encodeUnixAddress(name);
    if (address === undefined)
      return { reason: `NOTIFY_SOCKET=${name} is neither a path nor an abstract name` };
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
