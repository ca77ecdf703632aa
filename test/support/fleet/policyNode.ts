import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { parse, stringify } from "yaml";
import { type Sandbox, until } from "../sandbox.ts";
import type { FleetHub } from "./fleetHub.ts";
import { joinNode } from "./joinNode.ts";

/** A node of a fleet with its own directories, whose agent and `ffrtmp watch` are the compiled ones. */
export class PolicyNode {
  readonly name: string;
  readonly state: string;
  /** Root's directory, and the agent's. */
  readonly etc: string;
  readonly agentDirectory: string;
  readonly config: string;
  readonly policy: string;
  readonly #sandbox: Sandbox;
  #agent: Bun.Subprocess | undefined;
  #watch: Bun.Subprocess | undefined;
  #starts = 0;
  #watchLog = "";
  #agentLog = "";

  private constructor(sandbox: Sandbox, name: string) {
    this.#sandbox = sandbox;
    this.name = name;
    // The sandbox clears up after the jobs of its own state directory, and of those that are named to it.
    this.state = sandbox.path(`state-${name}`);
    this.etc = sandbox.path(`etc-${name}`);
    this.agentDirectory = sandbox.path(`agent-${name}`);
    this.config = `${this.etc}/node.yaml`;
    this.policy = sandbox.path(`policy-${name}.yaml`);
    mkdirSync(this.agentDirectory, { recursive: true });
    writeFileSync(this.policy, `target_commands: [none-${sandbox.tag}]\n`);
  }

  /** Invites a machine, which joins. */
  static async join(sandbox: Sandbox, hub: FleetHub, name: string, ...flags: string[]): Promise<PolicyNode> {
    const node = new PolicyNode(sandbox, name);
    const { text } = await hub.invite(name);
    await joinNode(sandbox, text, { config: node.config, agentDirectory: node.agentDirectory, flags });
    return node;
  }

  /** Changes keys of its configuration. */
  configure(change: object): void {
    writeFileSync(this.config, stringify({ ...parse(readFileSync(this.config, "utf8")), ...change }));
  }

  async startAgent(...flags: string[]): Promise<void> {
    const log = this.#sandbox.path(`agent-${this.name}-${++this.#starts}.log`);
    this.#agentLog = log;
    const args = ["fleet", "agent", "--config", this.config, "--state-path", this.state, ...flags];
    const stderr = openSync(log, "w");
    this.#agent = this.#sandbox.start(args, { stdout: "ignore", stderr, env: { FFRTMP_STATE: this.state } });
    await until(`the agent of ${this.name} is connected`, () =>
      readFileSync(log, "utf8").includes("connected to"),
    );
  }

  async startWatch(...flags: string[]): Promise<void> {
    this.#watchLog = this.#sandbox.path(`watch-${this.name}-${++this.#starts}.log`);
    const args = ["watch", "--watch-config", this.policy, "--fleet-config", this.config];
    this.#watch = this.#sandbox.start(
      [...args, "--state-path", this.state, "--scan-interval", "1s", ...flags],
      {
        stdout: "ignore",
        stderr: openSync(this.#watchLog, "w"),
      },
    );
    await until(`watch of ${this.name} has started`, () => this.watchLog.includes("; events: "));
  }

  get watchLog(): string {
    return readFileSync(this.#watchLog, "utf8");
  }

  get agentLog(): string {
    return readFileSync(this.#agentLog, "utf8");
  }

  async endAgent(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.#agent?.kill(signal);
    await this.#agent?.exited;
  }

  async endWatch(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.#watch?.kill(signal);
    await this.#watch?.exited;
  }

  /** Runs a command with the state of this node. */
  run(...args: string[]) {
    return this.#sandbox.run([...args, "--state-path", this.state]);
  }

  /** What `ffrtmp watch` says of the policy of the fleet. */
  // biome-ignore lint/suspicious/noExplicitAny: the tests compare parts of it
  async fleetPolicy(): Promise<any> {
    const { stdout } = await this.run("ps", "--daemon", "--json");
    return stdout === "" ? undefined : JSON.parse(stdout)?.fleet_policy;
  }

  /** Waits until `ffrtmp watch` says so of the policy of the fleet. */
  async untilPolicy(expected: { serial?: number | null; state?: string; why?: RegExp }): Promise<void> {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    let found: any;
    await until(
      `the policy of ${this.name} is ${JSON.stringify({ ...expected, why: expected.why?.source })}`,
      async () => {
        found = await this.fleetPolicy();
        if (found === undefined || found === null) return false;
        const { serial, state, why } = expected;
        return (
          (serial === undefined || found.serial === serial) &&
          (state === undefined || found.state === state) &&
          (why === undefined || why.test(found.why ?? ""))
        );
      },
    ).catch((error) => {
      throw new Error(`${error.message}; it is ${JSON.stringify(found)}\n${this.watchLog}`);
    });
  }
}
