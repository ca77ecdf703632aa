/**
 * The exit that the connector reported for a process: the wait status of its first thread, `"none"`, or
 * `"conflicting"` when its threads ended with different statuses.
 */
export type ReportedExit = number | "none" | "conflicting";

const MAX_EXITS = 256;

/**
 * The last exits that the connector reported, of all processes. A process may end between the decision to
 * watch it and the start of the watch; its status is then found here.
 */
export class RecentExits {
  readonly #exits = new Map<number, ReportedExit>();

  record(pid: number, waitStatus: number): void {
    this.#exits.delete(pid);
    this.#exits.set(pid, waitStatus);
    if (this.#exits.size <= MAX_EXITS) return;
    for (const oldest of this.#exits.keys()) {
      this.#exits.delete(oldest);
      return;
    }
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
