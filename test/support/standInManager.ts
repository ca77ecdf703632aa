import { openSync } from "node:fs";
import { closeFd } from "../../src/sys/descriptor.ts";
import { bindUnixDatagram, receiveUnixDatagram } from "./unixReceiver.ts";

const POLL_MS = 5;

/**
 * A service manager with the parts that watch uses: it receives messages, stores descriptors and restarts
 * watch.
 */
export class StandInManager {
  readonly address = `@ffrtmp-manager-${Bun.randomUUIDv7()}`;
  /** All received messages, oldest first. */
  readonly messages: string[] = [];
  /** The stored descriptors by name. */
  readonly store = new Map<string, number>();
  /**
   * Further descriptors under names that are in `store`. A manager keeps them when it cannot compare
   * descriptors.
   */
  readonly twins = new Map<string, number>();
  readonly #socket = bindUnixDatagram(this.address);
  readonly #timer = setInterval(() => this.#read(), POLL_MS);

  /** Starts a command as a service, and passes the stored descriptors as systemd does. */
  start(cmd: string[], log: string, env: Record<string, string>): Bun.Subprocess {
    const held = [...this.store, ...this.twins];
    const names = held.map(([name]) => name);
    return Bun.spawn({
      // LISTEN_PID is the pid of the program that sh executes.
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
