import type { NatsConnection } from "@nats-io/nats-core";
import { connectAsAdmin } from "../../../src/fleet/hub/admin.ts";
import { connectToHub } from "../../../src/fleet/hub/connection.ts";
import { FleetDirectory } from "../../../src/fleet/hub/fleetDirectory.ts";
import { type Invite, parseInvite } from "../../../src/fleet/hub/invite.ts";
import { inboxPrefix } from "../../../src/fleet/messages/subjects.ts";
import { freePort } from "../ports.ts";
import type { Ended, Sandbox } from "../sandbox.ts";
import { NATS_SERVER } from "./natsProgram.ts";

/** A fleet whose hub runs on the loopback device. It ends with the sandbox. */
export class FleetHub {
  readonly #sandbox: Sandbox;
  #up: Bun.Subprocess | undefined;
  readonly port = freePort();
  readonly directory: string;

  constructor(sandbox: Sandbox, name = "fleet") {
    this.#sandbox = sandbox;
    this.directory = sandbox.path(name);
  }

  /** Makes the keys of a new fleet and starts its hub. */
  static async start(sandbox: Sandbox, natsServer = NATS_SERVER): Promise<FleetHub> {
    const hub = new FleetHub(sandbox);
    await hub.must("init", `127.0.0.1:${hub.port}`);
    await hub.up(natsServer);
    return hub;
  }

  /** Runs a fleet command with the operator's keys. */
  run(...args: string[]): Promise<Ended> {
    return this.#sandbox.run(["fleet", ...args, "--dir", this.directory]);
  }

  /** Runs a fleet command that must succeed, and returns its stdout. */
  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    if (code !== 0) throw new Error(`ffrtmp fleet ${args.join(" ")} failed with ${code}: ${stderr}`);
    return stdout;
  }

  /** Ends `fleet up`, and with it the server. */
  async stop(): Promise<void> {
    this.#up?.kill("SIGTERM");
    await this.#up?.exited;
  }

  /** Starts `fleet up`, and returns when the hub is ready. */
  async up(natsServer = NATS_SERVER): Promise<{ process: Bun.Subprocess; serverPid: number }> {
    const args = ["fleet", "up", "--dir", this.directory, "--nats-server", natsServer];
    const process = this.#sandbox.start(args);
    this.#up = process;
    // Its first line comes when the hub is ready.
    const { value } = await (process.stdout as ReadableStream<Uint8Array>).getReader().read();
    const serverPid = Number(/PID (\d+)/.exec(new TextDecoder().decode(value))?.[1]);
    if (Number.isNaN(serverPid)) throw new Error(await new Response(process.stderr as ReadableStream).text());
    this.#sandbox.adopt(serverPid);
    return { process, serverPid };
  }

  /** Adds a node, which may claim jobs of these pools, and returns its invite. */
  async invite(node: string, ...pools: string[]): Promise<Invite & { text: string }> {
    const text = await this.must("invite", node, ...pools.flatMap((pool) => ["--pool", pool]));
    return { ...parseInvite(text), text };
  }

  admin(): Promise<NatsConnection> {
    return connectAsAdmin(new FleetDirectory(this.directory));
  }
}

/** Connects as the agent of a node does. */
export function connectAsNode({ node, hub, seed, authority }: Invite): Promise<NatsConnection> {
  return connectToHub({ hub, seed, authority, inboxPrefix: inboxPrefix(node), name: node });
}
