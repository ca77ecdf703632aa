import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NatsConnection } from "@nats-io/nats-core";
import { connectAsAdmin } from "../../../src/fleet/hub/admin.ts";
import { FleetDirectory } from "../../../src/fleet/hub/fleetDirectory.ts";
import { formatInvite } from "../../../src/fleet/hub/invite.ts";
import { serverEnvironment } from "../../../src/fleet/hub/natsServer.ts";
import { HUB_FILES, usersConfig } from "../../../src/fleet/hub/serverConfig.ts";
import { ensureStreams } from "../../../src/fleet/hub/streams.ts";
import { createNKey } from "../../../src/fleet/keys/nkey.ts";
import { lacksNatsServer, NATS_SERVER } from "../../../test/support/fleet/natsProgram.ts";
import { freePort } from "../../../test/support/ports.ts";

/** The pool of the node that takes jobs. */
export const POOL = "live";

/** A hub as `fleet init` makes it, on the loopback device, with many nodes. Its files and its server end with this object. */
export class BenchHub implements AsyncDisposable {
  readonly #root = mkdtempSync(join(tmpdir(), "ffrtmp-bench-fleet-"));
  readonly #directory = new FleetDirectory(join(this.#root, "fleet"));
  readonly url: string;
  readonly nodes: readonly { node: string; seed: string }[];
  /** The invites of two nodes more: one in no pool, and one in `POOL`. */
  readonly invites: { readonly off: string; readonly taking: string };
  #server: Bun.Subprocess | undefined;

  constructor(count: number) {
    const lack = lacksNatsServer();
    if (lack !== undefined) throw new Error(`${lack}: scripts/setup.sh has a function that fetches it`);
    const port = freePort();
    this.url = `tls://127.0.0.1:${port}`;
    this.#directory.create([{ host: "127.0.0.1", port }]);
    this.invites = { off: this.#invite("one-more", []), taking: this.#invite("another", [POOL]) };
    const keys = Array.from({ length: count }, (_, index) => ({ node: `edge-${index}`, ...createNKey() }));
    this.nodes = keys;
    const { admin, probes, nodes } = this.#directory.read();
    // Written at once: `addNode` writes and syncs the file for each node.
    const all = [...Object.entries(nodes), ...keys.map((each) => [each.node, userOf(each)] as const)];
    const users = usersConfig({ admin, probes, isClosed: false, nodes: new Map(all) });
    writeFileSync(join(this.#directory.hub, HUB_FILES.users), users);
  }

  /** The public part of the key that signs jobs. */
  get jobsKey(): string {
    return this.#directory.signingKey("jobs").publicKey;
  }

  #invite(node: string, pools: readonly string[]): string {
    const { key } = this.#directory.addNode(node, { pools });
    const authority = this.#directory.authority();
    return formatInvite({ node, hub: [this.url], seed: key.seed, authority, pools, policyKey: null });
  }

  get caFile(): string {
    return join(this.#directory.path, "ca.pem");
  }

  get pid(): number {
    if (this.#server === undefined) throw new Error("the server does not run");
    return this.#server.pid;
  }

  /** Starts the server. Returns when it accepts connections. */
  async start(): Promise<void> {
    this.startAgain();
    const admin = await this.admin();
    await ensureStreams(admin, [POOL]);
    await admin.close();
  }

  /** Starts it again after `kill`, and does not wait. */
  startAgain(): void {
    this.#server = Bun.spawn({
      cmd: [NATS_SERVER, "--config", HUB_FILES.config, "--log", HUB_FILES.log],
      cwd: this.#directory.hub,
      env: serverEnvironment(process.env),
      stdio: ["ignore", "ignore", "ignore"],
    });
  }

  async kill(): Promise<void> {
    this.#server?.kill("SIGKILL");
    await this.#server?.exited;
  }

  /** Connects as the operator, as soon as that is possible. */
  async admin(): Promise<NatsConnection> {
    for (const endMs = performance.now() + 20_000; ; ) {
      try {
        return await connectAsAdmin(this.#directory);
      } catch (error) {
        if (performance.now() > endMs) throw error;
        await Bun.sleep(50);
      }
    }
  }

  /** The server's own peak of resident memory and what it has now, in bytes. Source: /proc/PID/status. */
  memory(): { nowBytes: number; peakBytes: number } {
    const text = readFileSync(`/proc/${this.pid}/status`, "utf8");
    const bytes = (name: string) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
    return { nowBytes: bytes("VmRSS"), peakBytes: bytes("VmHWM") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#root, { recursive: true, force: true });
  }
}

function userOf({ publicKey }: { publicKey: string }) {
  return { nkey: publicKey, since: new Date().toISOString(), pools: [] };
}
