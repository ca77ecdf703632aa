import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AcceptFile } from "../../../src/fleet/dispatch/accept.ts";
import type { Sandbox } from "../sandbox.ts";
import { joinNode } from "./joinNode.ts";

/** A machine with the real agent, which accepts jobs of a fleet. No runner starts what it claims. */
export class DispatchingNode {
  readonly name: string;
  readonly #sandbox: Sandbox;
  readonly #directory: string;
  #agent: Bun.Subprocess | undefined;
  #accept: AcceptFile | undefined;

  constructor(sandbox: Sandbox, name: string) {
    this.name = name;
    this.#sandbox = sandbox;
    this.#directory = sandbox.path(name);
  }

  /** Joins a fleet, and lets `slots` jobs of a pool run that one of the keys has signed. */
  async join(invite: string, pool: string, trusted: string, slots: number): Promise<void> {
    const templates = this.#path("fleet/templates.d");
    mkdirSync(templates, { recursive: true });
    mkdirSync(this.#path("runner"));
    const files = { config: this.#path("fleet/node.yaml"), agentDirectory: this.#path("agent") };
    await joinNode(this.#sandbox, invite, files);
    this.#accept = { v: 1, pools: [pool], slots, as: "nobody", trusted: [trusted], signed_templates: false };
    this.accept({});
    writeFileSync(join(templates, "hls.yaml"), 'command: ["true"]\n');
    // A ledger, without which nothing is claimed.
    await this.#sandbox.run(["run", "--state-path", this.#path("state"), "--", "true"]);
  }

  /** Changes root's permission. */
  accept(change: Partial<AcceptFile>): void {
    this.#accept = { ...this.#accept, ...change } as AcceptFile;
    writeFileSync(this.#path("fleet/accept.yaml"), JSON.stringify(this.#accept));
  }

  start(): void {
    this.#agent = this.#sandbox.start(
      [
        "fleet",
        "agent",
        "--state-path",
        this.#path("state"),
        "--config",
        this.#path("fleet/node.yaml"),
        "--runner-state",
        this.#path("runner"),
      ],
      { stdout: "ignore", stderr: openSync(this.#path("agent.log"), "a") },
    );
  }

  async stop(): Promise<void> {
    this.#agent?.kill("SIGTERM");
    await this.#agent?.exited;
  }

  get agentPid(): number {
    return this.#agent?.pid ?? -1;
  }

  /** Runs a job of the machine itself, whose result the agent sends. */
  async run(id: string): Promise<void> {
    await this.#sandbox.run(["run", "--state-path", this.#path("state"), "--job-id", id, "--", "true"]);
  }

  get log(): string {
    return readFileSync(this.#path("agent.log"), "utf8");
  }

  /** The attempts that a runner would start. */
  get mine(): string[] {
    const claims = this.#path("agent/claims");
    if (!existsSync(claims)) return [];
    return readdirSync(claims)
      .filter((name) => name.endsWith(".json"))
      .filter((name) => JSON.parse(readFileSync(join(claims, name), "utf8")).state === "mine")
      .map((name) => name.slice(0, -".json".length));
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}
