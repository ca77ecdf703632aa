import type { Host } from "../linux/host.ts";
import { type ProcStat, readStat } from "../linux/proc/stat.ts";

const MAX_KNOWN = 8192;

/** Remembers processes, so that each is reported once. Forgets those that have ended when it knows many. */
export class OnceForEach {
  readonly #host: Host;
  readonly #known = new Map<number, number>();

  constructor(host: Host) {
    this.#host = host;
  }

  /** Returns true the first time that it is called for a process. */
  isFirst({ pid, startTicks }: Pick<ProcStat, "pid" | "startTicks">): boolean {
    if (this.#known.get(pid) === startTicks) return false;
    if (this.#known.size >= MAX_KNOWN) this.#forget();
    this.#known.set(pid, startTicks);
    return true;
  }

  /** With more living processes than it can remember, some are reported again. */
  #forget(): void {
    for (const [pid, startTicks] of this.#known) {
      const stat = readStat(this.#host, pid);
      if (stat === "gone" || stat.startTicks !== startTicks) this.#known.delete(pid);
    }
    if (this.#known.size > MAX_KNOWN / 2) this.#known.clear();
  }
}
