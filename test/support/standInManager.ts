import { openSync } from "node:fs";
import { closeFd } from "../../src/sys/descriptor.ts";
import { bindUnixDatagram, receiveUnixDatagram } from "./unixReceiver.ts";

const POLL_MS = 5;

/** As much of a service manager as a watch speaks with: it listens, holds descriptors, and starts the watch again. */
export class StandInManager {
  readonly address = `@ffrtmp-manager-${Bun.randomUUIDv7()}`;
  /** All that was said, oldest first. */
  readonly messages: string[] = [];
  /** What is held, by its name. */
  readonly store = new Map<string, number>();
  /** Second descriptors under names of the first, which a manager keeps when it cannot tell that they are the same. */
  readonly twins = new Map<string, number>();
  readonly #socket = bindUnixDatagram(this.address);
  readonly #timer = setInterval(() => this.#read(), POLL_MS);

  /** Starts a command as a service whose stored descriptors are handed over, as systemd does it. */
  start(cmd: string[], log: string, env: Record<string, string>): Bun.Subprocess {
    const held = [...this.store, ...this.twins];
    const names = held.map(([name]) => name);
    return Bun.spawn({
      // LISTEN_PID is the pid of the program that is executed in the end.
      cmd: ["sh", "-c", 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"', "sh", ...cmd],
      env: {
        ...env,
        NOTIFY_SOCKET: this.address,
        WATCHDOG_USEC: "100000",
        LISTEN_FDS: String(names.length),
        LISTEN_FDNAMES: names.join(":"),
      },
      stdio: ["ignore", "ignore", openSync(log, "a"), ...held.map(([, fd]) => fd)],
    });
  }

  count(message: string): number {
    return this.messages.filter((one) => one === message).length;
  }

  close(): void {
    clearInterval(this.#timer);
    for (const fd of [...this.store.values(), ...this.twins.values()]) closeFd(fd);
    closeFd(this.#socket);
  }

  #read(): void {
    for (let next = receiveUnixDatagram(this.#socket); next; next = receiveUnixDatagram(this.#socket)) {
      this.messages.push(next.text);
      const name = /^FDNAME=(.*)$/m.exec(next.text)?.[1] ?? "stored";
      const held = this.store.get(name);
      if (/^FDSTOREREMOVE=1$/m.test(next.text) && held !== undefined) {
        closeFd(held);
        this.store.delete(name);
      }
      for (const fd of next.descriptors) {
        if (/^FDSTORE=1$/m.test(next.text) && !this.store.has(name)) this.store.set(name, fd);
        else closeFd(fd);
      }
    }
  }
}
