import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FFRTMP, type Sandbox } from "../sandbox.ts";
import { joinNode } from "./joinNode.ts";
import { RunnerNode } from "./runnerNode.ts";

/** The programs of a node that takes jobs. */
export const PROGRAMS = ["watch", "agent", "runner"] as const;
export type ProgramName = (typeof PROGRAMS)[number];

/** A node with all programs of ffrtmp, of which each can be killed at any time and started again. */
export class WholeNode extends RunnerNode {
  readonly name: string;
  readonly state: string;
  readonly #box: Sandbox;
  readonly #running = new Map<ProgramName, Bun.Subprocess>();

  constructor(sandbox: Sandbox, name: string) {
    super(sandbox, name);
    this.#box = sandbox;
    this.name = name;
    this.state = join(this.directory, "state");
    sandbox.adoptState(this.state);
  }

  get config(): string {
    return join(this.directory, "etc", "node.yaml");
  }

  get log(): string {
    return join(this.directory, "log");
  }

  async join(invite: string): Promise<void> {
    await joinNode(this.#box, invite, { config: this.config, agentDirectory: join(this.directory, "agent") });
    writeFileSync(this.log, "");
    // The agent reads a ledger that exists.
    await this.#box.run(["run", "--state-path", this.state, "--sla-eligible", "--", "true"]);
  }

  /** Starts the programs that do not run. */
  start(): void {
    for (const name of PROGRAMS) if (!this.#running.has(name)) this.#running.set(name, this.#spawn(name));
  }

  /** Returns false where it does not run. */
  async kill(name: ProgramName): Promise<boolean> {
    const program = this.#running.get(name);
    if (program === undefined) return false;
    this.#running.delete(name);
    appendFileSync(this.log, `test: SIGKILL of ${name}\n`);
    program.kill("SIGKILL");
    await program.exited;
    return true;
  }

  /** Returns the PIDs of the processes that will record the ends of jobs. */
  async observers(): Promise<number[]> {
    const { stdout } = await this.#box.run(["ps", "--json", "--state-path", this.state]);
    const jobs: { observer_pid: number | null }[] = JSON.parse(stdout || "[]");
    const watch = this.#running.get("watch")?.pid;
    return jobs.flatMap(({ observer_pid: pid }) => (pid === null || pid === watch ? [] : [pid]));
  }

  #spawn(name: ProgramName): Bun.Subprocess {
    const state = ["--state-path", this.state];
    const args = {
      // It observes jobs whose own observers die. No process has this name.
      watch: ["watch", ...state, "--target", `none-${this.#box.tag}-${this.name}`, "--scan-interval", "1s"],
      agent: ["fleet", "agent", ...state, "--config", this.config, ...this.options],
      runner: ["fleet", "runner", ...state, ...this.options],
    }[name];
    const cmd = ["sh", "-c", 'exec "$@" >>"$0" 2>&1', this.log, FFRTMP, ...args];
    return this.#box.spawn(cmd, { stdout: "ignore", stderr: "ignore" });
  }
}
