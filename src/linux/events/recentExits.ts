/** The wait status of the first thread, or `"conflicting"` when threads ended with different statuses. */
export type ReportedExit = number | "none" | "conflicting";

const MAX_EXITS = 256;

/** The last exits that the connector reported, of all processes. */
export class RecentExits {
  readonly #exits = new Map<number, ReportedExit>();

  record(pid: number, waitStatus: number): void {
    this.#exits.delete(pid);
    this.#exits.set(pid, waitStatus);
    const [oldest] = this.#exits.keys();
    if (this.#exits.size > MAX_EXITS && oldest !== undefined) this.#exits.delete(oldest);
  }

  recordThread(pid: number, waitStatus: number): void {
    const reported = this.#exits.get(pid);
    if (typeof reported === "number" && reported !== waitStatus) this.#exits.set(pid, "conflicting");
  }

  forget(pid: number): void {
    this.#exits.delete(pid);
  }

  clear(): void {
    this.#exits.clear();
  }

  of(pid: number): ReportedExit {
    return this.#exits.get(pid) ?? "none";
  }
}
