/** What the connector told of a process's end: its first thread's wait status, nothing, or statuses that do not agree. */
export type ReportedExit = number | "nothing" | "disputed";

const REMEMBERED = 256;

/**
 * The last exits that were told, of all processes. A process may end between the moment when somebody
 * decides to watch it and the watch; its status is then found here.
 */
export class RecentExits {
  readonly #exits = new Map<number, ReportedExit>();

  record(pid: number, waitStatus: number): void {
    this.#exits.delete(pid);
    this.#exits.set(pid, waitStatus);
    if (this.#exits.size <= REMEMBERED) return;
    for (const oldest of this.#exits.keys()) {
      this.#exits.delete(oldest);
      return;
    }
  }

  recordThread(pid: number, waitStatus: number): void {
    const told = this.#exits.get(pid);
    if (typeof told === "number" && told !== waitStatus) this.#exits.set(pid, "disputed");
  }

  forget(pid: number): void {
    this.#exits.delete(pid);
  }

  clear(): void {
    this.#exits.clear();
  }

  of(pid: number): ReportedExit {
    return this.#exits.get(pid) ?? "nothing";
  }
}
