import { readdirSync } from "node:fs";

/** Starts idle processes, which are ended by their PIDs when they are no longer needed. */
export class Crowd implements AsyncDisposable {
  readonly #sleepers: Bun.Subprocess[] = [];

  async grow(count: number): Promise<void> {
    while (this.#sleepers.length < count) {
      const child = Bun.spawn({ cmd: ["sleep", "3600"], stdio: ["ignore", "ignore", "ignore"] });
      child.unref();
      this.#sleepers.push(child);
      if (this.#sleepers.length % 100 === 0) await Bun.sleep(1);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#sleepers) child.kill("SIGKILL");
    await Promise.all(this.#sleepers.map(({ exited }) => exited));
  }
}

export function countProcesses(): number {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).length;
}
