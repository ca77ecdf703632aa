import { appendFileSync, chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import type { AcceptFile } from "../../../src/fleet/dispatch/accept.ts";
import { claimRecord, Spool } from "../../../src/fleet/dispatch/spool.ts";
import type { SigningKey } from "../../../src/fleet/keys/signingKey.ts";
import type { NodeConfigFile } from "../../../src/fleet/nodeConfig.ts";
import { findUser, type UserAccount } from "../../../src/linux/proc/userAccount.ts";
import { FFRTMP, type Sandbox } from "../sandbox.ts";
import { CutProxy } from "./cutProxy.ts";
import type { TestHub } from "./natsServer.ts";
import { POOL, TEMPLATE } from "./offers.ts";
import { RUN_AS } from "./runnerNode.ts";

const PROGRAMS = resolve(import.meta.dir, "../programs");
/** A program that takes jobs, and that can be killed at any time and started again. */
export interface WorkerNode {
  readonly name: string;
  readonly link: CutProxy;
  start(): void;
  /** Kills one of its programs; workloads run on. */
  kill(which: number): Promise<void>;
}

/** A node with the compiled agent and runner. */
export class ClaimNode implements WorkerNode {
  readonly name: string;
  readonly link: CutProxy;
  readonly state: string;
  readonly claims: string;
  readonly runner: string;
  readonly etc: string;
  readonly #sandbox: Sandbox;
  readonly #starts: string;
  readonly #programs: (Bun.Subprocess | undefined)[] = [undefined, undefined];

  constructor(
    sandbox: Sandbox,
    hub: TestHub,
    name: string,
    starts: string,
    key: SigningKey,
    accept: Partial<AcceptFile> = {},
  ) {
    this.#sandbox = sandbox;
    this.name = name;
    this.#starts = starts;
    this.link = new CutProxy(hub.port);
    const path = (part: string) => sandbox.path(`${part}-${name}`);
    [this.state, this.claims, this.runner] = [path("state"), join(path("agent"), "claims"), path("runner")];
    sandbox.adoptState(this.state);
    this.etc = path("etc");
    mkdirSync(join(this.etc, "templates.d"), { recursive: true });
    this.#allowRecord(path("record"));
    const urls = [`nats://127.0.0.1:${this.link.port}`];
    const config: NodeConfigFile = {
      v: 1,
      node: name,
      hub: urls,
      nkey_file: hub.seedFile(name),
      state_dir: path("agent"),
    };
    writeFileSync(join(this.etc, "node.yaml"), stringify(config));
    this.accept({ v: 1, pools: [POOL], slots: 4, as: RUN_AS, trusted: [key.publicKey], ...accept });
    writeFileSync(this.#log, "");
  }

  /** A program that records its own start, and the template for it. */
  #allowRecord(program: string): void {
    const { uid, gid } = findUser(RUN_AS) as UserAccount;
    appendFileSync(this.#starts, "");
    chownSync(this.#starts, uid, gid);
    chmodSync(this.#sandbox.directory, 0o755);
    const script = `#!/bin/sh\necho "$FFRTMP_JOB.$FFRTMP_ATTEMPT" >> ${this.#starts}\nexec sleep "$1"\n`;
    writeFileSync(program, script, { mode: 0o755 });
    const template = {
      command: [program, "{seconds}"],
      params: { seconds: { type: "number", min: 0, max: 1000 } },
    };
    writeFileSync(join(this.etc, "templates.d", `${TEMPLATE}.yaml`), stringify(template), { mode: 0o644 });
  }

  /** Changes root's permission. */
  accept(file: AcceptFile): void {
    writeFileSync(join(this.etc, "accept.yaml"), stringify(file));
  }

  /** Makes the ledger, which the first job makes otherwise. */
  async makeLedger(): Promise<void> {
    await this.#sandbox.run(["run", "--state-path", this.state, "--sla-eligible", "--", "true"]);
    await this.#sandbox.run(["ps", "--state-path", this.state]);
  }

  start(): void {
    for (const which of [0, 1])
      if (this.#programs[which] === undefined) this.#programs[which] = this.#spawn(which);
  }

  async kill(which: number): Promise<void> {
    const index = which % this.#programs.length;
    const program = this.#programs[index];
    this.#programs[index] = undefined;
    program?.kill("SIGKILL");
    await program?.exited;
  }

  /** The number of attempts that it has neither given up nor settled. */
  get held(): number {
    return new Spool(this.claims, claimRecord).names().length;
  }

  /** What the agent and the runner have written. */
  get log(): string {
    return readFileSync(this.#log, "utf8");
  }

  get #log(): string {
    return this.#sandbox.path(`log-${this.name}`);
  }

  #spawn(which: number): Bun.Subprocess {
    const program = which === 0 ? ["agent", "--config", join(this.etc, "node.yaml")] : ["runner"];
    const files = ["--accept", join(this.etc, "accept.yaml"), "--agent-state", join(this.claims, "..")];
    const states = ["--runner-state", this.runner, "--state-path", this.state];
    const args = [FFRTMP, "fleet", ...program, ...files, ...states];
    const cmd = ["sh", "-c", 'exec "$@" 2>>"$0"', this.#log, ...args];
    return this.#sandbox.spawn(cmd, { stdout: "ignore", stderr: "ignore" });
  }
}

/** A node that takes jobs by a lease, which is renewed while they run. */
export class LeaseNode implements WorkerNode {
  readonly name: string;
  readonly link: CutProxy;
  readonly #sandbox: Sandbox;
  readonly #cmd: string[];
  readonly #leases: string;
  #worker: Bun.Subprocess | undefined;

  constructor(sandbox: Sandbox, hub: TestHub, name: string, starts: string, renewalMs: number) {
    this.#sandbox = sandbox;
    this.name = name;
    this.link = new CutProxy(hub.port);
    this.#leases = sandbox.path(`leases-${name}`);
    mkdirSync(this.#leases);
    const program = join(PROGRAMS, "leaseWorker.ts");
    const values = [this.link.port, name, hub.seedFile(name), POOL, this.#leases, starts, 4, renewalMs];
    this.#cmd = [process.execPath, program, ...values.map(String)];
  }

  start(): void {
    this.#worker ??= this.#sandbox.spawn(this.#cmd, { stdout: "ignore", stderr: "ignore" });
  }

  async kill(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    worker?.kill("SIGKILL");
    await worker?.exited;
  }
}
