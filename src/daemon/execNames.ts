import { commOf } from "../linux/proc/comm.ts";

/** Bounds the memory, and what other users can let through the filter. */
const MAX_LEARNED = 64;

/**
 * The names of executed files that concern the daemon: those of the policy, and those under which processes were governed by
 * another name, such as that of their first argument. The first process with such a name is found by a scan, the others by
 * their exec events.
 */
export class ExecNames {
  /** The oldest first. */
  readonly #learned = new Set<string>();
  #ofPolicy: readonly string[] | undefined;

  /** `undefined`: the policy can match any name. */
  setPolicyNames(names: readonly string[] | undefined): void {
    this.#ofPolicy = names;
  }

  /** Returns the wanted names; `undefined`: all. */
  list(): readonly string[] | undefined {
    return this.#ofPolicy && [...this.#ofPolicy, ...this.#learned];
  }

  /** Learns the kernel's name of a process that was governed. Returns whether it is new. */
  learn(comm: string): boolean {
    if (this.#ofPolicy === undefined || this.#learned.has(comm)) return false;
    if (this.#ofPolicy.some((name) => commOf(name) === comm)) return false;
    const [oldest] = this.#learned;
    if (oldest !== undefined && this.#learned.size >= MAX_LEARNED) this.#learned.delete(oldest);
    this.#learned.add(comm);
    return true;
  }
}
