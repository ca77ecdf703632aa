import { afterEach, expect, setDefaultTimeout } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { FleetDirectory } from "../../src/fleet/hub/fleetDirectory.ts";
import { ClusterServers, clusterPorts, persist } from "../support/fleet/clusterServers.ts";
import { DispatchingNode } from "../support/fleet/dispatchingNode.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { testIf, until, useSandbox } from "../support/sandbox.ts";

setDefaultTimeout(180_000);
const sandbox = useSandbox();
const live = testIf(lacksNatsServer());
let servers: ClusterServers | undefined;
afterEach(() => servers?.close());

const JOBS = Array.from({ length: 8 }, (_, index) => `movie-${index}`);

interface Listed {
  job: string;
  state: string;
  node: string | null;
}

async function queueOf(hub: FleetHub): Promise<Listed[]> {
  const jobs: Listed[] = JSON.parse(await hub.must("queue", "--json"));
  return jobs.map(({ job, state, node }) => ({ job, state, node }));
}

async function resultsOf(hub: FleetHub): Promise<string[]> {
  const { code, stdout } = await hub.run("results", "--json");
  return code === 0 ? JSON.parse(stdout).map(({ job_id: id }: { job_id: string }) => id) : [];
}

function addressesOf(ports: readonly number[]): string {
  return ports.map((port) => `127.0.0.1:${port}`).join(",");
}

live(
  "a hub of one server becomes one of three, which has all that it had, and gives no job twice",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const directory = new FleetDirectory(hub.directory);
    const { publicKey } = directory.signingKey("jobs");
    const nodes = ["edge-1", "edge-2"].map((name) => new DispatchingNode(sandbox(), name));
    for (const node of nodes) {
      await node.join((await hub.invite(node.name, "live")).text, "live", publicKey, 3);
      node.start();
    }
    const claimed = () => nodes.flatMap(({ mine }) => mine).sort();
    for (const id of JOBS) await hub.must("submit", "hls", "--pool", "live", "--id", id);
    await until("six of eight jobs are claimed", () => claimed().length === 6);
    const before = await queueOf(hub);
    const policy = sandbox().path("fleet-policy.yaml");
    writeFileSync(policy, `target_commands: [none-${sandbox().tag}]\n`);
    await hub.must("policy", "push", policy);
    await nodes[0]?.run("result-1");
    await until("the first result is at the hub", async () => (await resultsOf(hub)).includes("result-1"));

    const ports = clusterPorts(hub.port);
    const grown = addressesOf(ports);
    for (const [addresses, reason] of [
      [addressesOf(ports.toReversed()), "the first server is the one that nodes know"],
      [addressesOf(ports.slice(0, 2)), "three or five, and not 2"],
      [addressesOf(ports.slice(0, 1)), "no further server is named"],
    ] as const)
      expect(await hub.run("grow", addresses)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(reason),
      });
    expect(await hub.must("grow", grown)).toContain("saved NODES, RESULTS, KV_FLEET, JOBS, CLAIMS");
    for (const command of [["ps"], ["submit", "hls", "--pool", "live"], ["grow", grown]])
      expect((await hub.run(...command)).code).toBe(2);
    // The hub takes this one after its streams were saved.
    await nodes[1]?.run("result-2");
    await hub.stop();

    servers = new ClusterServers(sandbox(), hub);
    servers.startAll();
    await persist(hub, "setup");
    const admin = await hub.admin();
    const manager = await jetstreamManager(admin);
    for (const stream of ["NODES", "RESULTS", "KV_FLEET", "JOBS", "CLAIMS"]) {
      const { config, cluster } = await manager.streams.info(stream);
      expect([stream, config.num_replicas, cluster?.replicas?.length]).toEqual([stream, 3, 2]);
    }
    await admin.close();
    await until("all nodes are back", async () => (await hub.run("restore")).code === 0);
    expect(await queueOf(hub)).toEqual(before);
    expect(claimed()).toHaveLength(6);
    for (const node of nodes) node.accept({ slots: 20 });
    const opened = await servers.reloadFor(() => hub.run("restore", "--finish"));
    expect([opened.code, opened.stderr]).toEqual([0, expect.stringContaining("the queues are open")]);

    // Nodes know one address, and are told of the others.
    const [first = ""] = servers.addresses;
    await servers.kill(first);
    await persist(hub, "submit", "hls", "--pool", "live", "--id", "movie-late");
    await until("all jobs are claimed, once", () => claimed().length === JOBS.length + 1);
    expect(claimed()).toEqual([...JOBS, "movie-late"].map((id) => `${id}.1`));
    await nodes[0]?.run("result-3");
    const all = ["result-1", "result-2", "result-3"];
    await until("all results are at the hub, once", async () => {
      const found = (await resultsOf(hub)).filter((id) => id.startsWith("result-")).sort();
      return found.join() === all.join();
    });
    await until("the policy is there", async () =>
      /^stable +1 /m.test((await hub.run("policy", "status")).stdout),
    );
    // What the one server had is left as it was.
    expect(readFileSync(join(directory.hub, "nats-server.conf.before"), "utf8")).toContain(
      'store_dir: "data"',
    );
    for (const node of nodes) await node.stop();
  },
);
