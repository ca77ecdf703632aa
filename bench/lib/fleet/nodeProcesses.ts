import { join } from "node:path";
import type { FromNodes, ToNodes } from "./messages.ts";

const PROGRAM = join(import.meta.dir, "nodes.ts");

interface NodeProcess {
  child: Bun.Subprocess;
  /** Absent while a node of it has no connection. */
  allConnectedMs: number | undefined;
}

/** Processes that are many nodes each. They end with this object. */
export class NodeProcesses implements AsyncDisposable {
  readonly #processes: NodeProcess[];
  readonly #waiting = new Set<{ check(from: NodeProcess, message: FromNodes): void }>();

  constructor(count: number) {
    this.#processes = Array.from({ length: count }, () => this.#start());
  }

  /** Starts the agents of nodes, distributed over the processes. */
  start(nodes: readonly { node: string; seed: string }[], hub: string, caFile: string): void {
    for (const [at, { child }] of this.#processes.entries()) {
      const own = nodes.filter((_, index) => index % this.#processes.length === at);
      child.send({ kind: "start", nodes: own, hub, caFile } satisfies ToNodes);
    }
  }

  endJobs(perSecond: number): void {
    this.#tellAll({ kind: "end jobs", perSecond: perSecond / this.#processes.length });
  }

  /** Waits until each node has a connection. Returns when the last of them got it, in ms since the epoch. */
  async allConnected(timeoutMs: number): Promise<number> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const times = this.#processes.map(({ allConnectedMs }) => allConnectedMs);
      if (times.every((time) => time !== undefined)) return Math.max(...(times as number[]));
      if (performance.now() > endMs) throw new Error(`not all nodes are connected after ${timeoutMs} ms`);
      await Bun.sleep(20);
    }
  }

  /** Returns how many results each node has recorded. */
  async countResults(): Promise<Map<string, number>> {
    const answers = this.#answers("counted");
    this.#tellAll({ kind: "count" });
    return new Map((await answers).flatMap(({ results }) => Object.entries(results)));
  }

  /** Settles when each node has received a policy, with the time of the last one, in ms since the epoch. */
  async policyReceived(): Promise<number> {
    return Math.max(...(await this.#answers("policy")).map(({ atMs }) => atMs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#processes) child.kill("SIGKILL");
    await Promise.all(this.#processes.map(({ child }) => child.exited));
  }

  #start(): NodeProcess {
    const child = Bun.spawn({
      cmd: [process.execPath, PROGRAM],
      stdio: ["ignore", "ignore", "inherit"],
      ipc: (message: FromNodes) => {
        if (message.kind === "connections") started.allConnectedMs = message.all ? message.atMs : undefined;
        for (const each of this.#waiting) each.check(started, message);
      },
    });
    const started: NodeProcess = { child, allConnectedMs: undefined };
    return started;
  }

  #tellAll(message: ToNodes): void {
    for (const { child } of this.#processes) child.send(message);
  }

  /** Settles with one message of a kind from each process. */
  #answers<K extends FromNodes["kind"]>(kind: K): Promise<Extract<FromNodes, { kind: K }>[]> {
    const { promise, resolve, reject } = Promise.withResolvers<Extract<FromNodes, { kind: K }>[]>();
    const found = new Map<NodeProcess, Extract<FromNodes, { kind: K }>>();
    const waiting = {
      check: (from: NodeProcess, message: FromNodes) => {
        if (message.kind === kind) found.set(from, message as Extract<FromNodes, { kind: K }>);
        if (found.size < this.#processes.length) return;
        this.#waiting.delete(waiting);
        resolve([...found.values()]);
      },
    };
    this.#waiting.add(waiting);
    for (const { child } of this.#processes)
      void child.exited.then(() => reject(new Error("a process of simulated nodes has ended")));
    promise.catch(() => {});
    return promise;
  }
}
