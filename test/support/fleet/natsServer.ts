import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ConsumerUpdateConfig, jetstreamManager } from "@nats-io/jetstream";
import { type NatsConnection, nkeys } from "@nats-io/nats-core";
import { connect } from "../../../src/fleet/client/connect.ts";
import { nodePermissions } from "../../../src/fleet/hub/permissions.ts";
import { ensureStreams } from "../../../src/fleet/hub/streams.ts";
import { parseMessage } from "../../../src/fleet/hub/unpack.ts";
import type { Offer } from "../../../src/fleet/messages/job.ts";
import type { NodeMessage } from "../../../src/fleet/messages/node.ts";
import type { ResultsMessage } from "../../../src/fleet/messages/results.ts";
import { JOBS, jobSubject } from "../../../src/fleet/messages/subjects.ts";
import { freePort } from "../ports.ts";
import { eventually, type Sandbox } from "../sandbox.ts";
import { NATS_SERVER } from "./natsProgram.ts";

const ADMIN = { user: "admin", pass: "admin" };

/** A nats-server with the streams of a fleet, whose nodes may do what `fleet init` lets them. */
export class TestHub {
  readonly port = freePort();
  readonly #sandbox: Sandbox;
  readonly #directory: string;
  readonly #keys: Map<string, string>;
  #server: Bun.Subprocess | undefined;
  #admin: NatsConnection | undefined;

  readonly #pools: readonly string[];

  /** `pools`: those whose jobs each node may claim. */
  constructor(sandbox: Sandbox, nodes: readonly string[], pools: readonly string[] = []) {
    this.#sandbox = sandbox;
    this.#pools = pools;
    this.#directory = sandbox.path("hub");
    mkdirSync(this.#directory);
    this.#keys = new Map(nodes.map((node) => [node, this.#createKey(node)]));
    writeFileSync(this.#path("hub.conf"), this.#config());
  }

  /** The file with the seed of a node. */
  seedFile(node: string): string {
    return this.#path(`${node}.nk`);
  }

  async start(): Promise<void> {
    const cmd = [NATS_SERVER, "-c", this.#path("hub.conf"), "-l", this.#path("hub.log")];
    this.#server = this.#sandbox.spawn(cmd, { stdout: "ignore", stderr: "ignore" });
    await ensureStreams(await this.#connect(), this.#pools);
  }

  /** Changes the queue of a pool. */
  async changeQueue(pool: string, changes: Partial<ConsumerUpdateConfig>): Promise<void> {
    const { consumers } = await jetstreamManager(await this.#connect());
    await consumers.update(JOBS, pool, changes);
  }

  /** Offers a job as an operator does, and returns when the hub has it. */
  async offer(pool: string, offer: Offer): Promise<void> {
    const answer = await this.#ask(jobSubject(pool), offer);
    if (answer.json<{ error?: object }>().error !== undefined) throw new Error(answer.string());
  }

  /** Returns the messages of a stream of which an operator reads all, with their subjects. */
  async messages(stream: string): Promise<{ subject: string; content: unknown }[]> {
    const found: { subject: string; content: unknown }[] = [];
    for (let seq = 1; ; ) {
      const answer = await this.#ask(`$JS.API.DIRECT.GET.${stream}`, { seq, next_by_subj: ">" });
      if (answer.headers?.code) return found;
      found.push({ subject: answer.headers?.get("Nats-Subject") ?? "", content: answer.json() });
      seq = Number(answer.headers?.get("Nats-Sequence")) + 1;
    }
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#admin?.close();
    this.#admin = undefined;
    this.#server?.kill(signal);
    await this.#server?.exited;
  }

  /** Stops the server for a time, without an end of its connections. */
  async freeze(ms: number): Promise<void> {
    this.#server?.kill("SIGSTOP");
    await Bun.sleep(ms);
    this.#server?.kill("SIGCONT");
  }

  /** Call it while the server does not run. */
  backUp(): void {
    cpSync(this.#path("data"), this.#path("backup"), { recursive: true });
  }

  /** Call it while the server does not run. `nothing`: the hub is lost as a whole. */
  restore(what: "backup" | "nothing" = "backup"): void {
    rmSync(this.#path("data"), { recursive: true });
    if (what === "backup") cpSync(this.#path("backup"), this.#path("data"), { recursive: true });
  }

  /** Returns the messages with results, in their order. */
  async results(node: string): Promise<ResultsMessage[]> {
    const found: ResultsMessage[] = [];
    for (let seq = 1; ; ) {
      const answer = await this.#api("DIRECT.GET.RESULTS", { seq, next_by_subj: `ffrtmp.result.${node}` });
      if (answer.headers?.code) return found;
      found.push(parseMessage(answer.data) as ResultsMessage);
      seq = Number(answer.headers?.get("Nats-Sequence")) + 1;
    }
  }

  /** Returns the last state of a node; `undefined` where it has reported none. */
  async node(node: string): Promise<NodeMessage | undefined> {
    const answer = await this.#api("DIRECT.GET.NODES", { last_by_subj: `ffrtmp.node.${node}` });
    return answer.headers?.code ? undefined : (parseMessage(answer.data) as NodeMessage);
  }

  async close(): Promise<void> {
    await this.#admin?.close();
  }

  #api(name: string, body: object) {
    return this.#ask(`$JS.API.${name}`, body);
  }

  async #ask(subject: string, body: object) {
    const admin = await this.#connect();
    return eventually(`the hub answers ${subject}`, () =>
      admin.request(subject, JSON.stringify(body), { timeout: 5000 }).catch(() => undefined),
    );
  }

  async #connect(): Promise<NatsConnection> {
    this.#admin ??= await eventually("the hub accepts connections", () =>
      connect({
        servers: `127.0.0.1:${this.port}`,
        ...ADMIN,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
      }).catch(() => undefined),
    );
    return this.#admin;
  }

  #createKey(node: string): string {
    const key = nkeys.createUser();
    writeFileSync(this.seedFile(node), key.getSeed(), { mode: 0o600 });
    return key.getPublicKey();
  }

  #config(): string {
    const users = [...this.#keys].map(([node, key]) => {
      const { publish, subscribe } = nodePermissions(node, this.#pools);
      return `{nkey: ${key}, permissions: {publish: {allow: ${JSON.stringify(publish)}}, subscribe: {allow: ${JSON.stringify(subscribe)}}}}`;
    });
    return `listen: "127.0.0.1:${this.port}"
max_payload: 262144
jetstream {
  store_dir: "${this.#path("data")}"
  sync_interval: always
}
accounts {
  FLEET {
    jetstream: enabled
    users: [
      {user: ${ADMIN.user}, password: ${ADMIN.pass}}
      ${users.join("\n      ")}
    ]
  }
}
`;
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}
