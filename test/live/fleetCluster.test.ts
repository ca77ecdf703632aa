import { afterEach, expect } from "bun:test";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { FleetDirectory } from "../../src/fleet/hub/fleetDirectory.ts";
import { DispatchingNode } from "../support/fleet/dispatchingNode.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer, NATS_SERVER } from "../support/fleet/natsProgram.ts";
import { freePort } from "../support/ports.ts";
import { isRunning, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const live = testIf(lacksNatsServer());
let servers: Map<string, Bun.Subprocess>;
afterEach(async () => {
  for (const server of servers?.values() ?? []) {
    server.kill("SIGKILL");
    await server.exited;
  }
});

/** Returns three ports for clients, whose ports for the other servers are free as well. */
function clusterPorts(): number[] {
  const ports = new Set<number>();
  while (ports.size < 3) {
    const port = freePort();
    if (port < 63_000) ports.add(port);
  }
  return [...ports];
}

function startServer(directory: FleetDirectory, address: string): void {
  const index = addresses(directory).indexOf(address);
  const cwd = directory.serverDirectories[index];
  if (cwd === undefined) throw new Error(`no server ${address}`);
  const server = sandbox().spawn([NATS_SERVER, "--config", "nats-server.conf", "--log", "nats-server.log"], {
    cwd,
    stdout: "ignore",
    stderr: "ignore",
  });
  servers.set(address, server);
}

function addresses(directory: FleetDirectory): string[] {
  const { hub, servers: others } = directory.read();
  return [hub, ...others].map(({ host, port }) => `${host}:${port}`);
}

async function kill(address: string): Promise<void> {
  servers.get(address)?.kill("SIGKILL");
  await servers.get(address)?.exited;
}

/** Calls a command again until it succeeds, as an operator does. */
async function persist(hub: FleetHub, ...args: string[]): Promise<void> {
  await until(`ffrtmp fleet ${args.join(" ")} succeeds`, async () => (await hub.run(...args)).code === 0);
}

live("a hub of three servers loses nothing with one of them, and continues when two are back", async () => {
  servers = new Map();
  const hub = new FleetHub(sandbox());
  await hub.must(
    "init",
    clusterPorts()
      .map((port) => `127.0.0.1:${port}`)
      .join(","),
  );
  const directory = new FleetDirectory(hub.directory);
  const nodes = ["edge-1", "edge-2"].map((name) => new DispatchingNode(sandbox(), name));
  const { publicKey } = directory.signingKey("jobs");
  const invites = new Map<string, string>();
  for (const { name } of nodes) {
    // No server runs yet, which invite reports.
    const { stdout } = await hub.run("invite", name, "--pool", "live");
    invites.set(name, stdout.trim());
  }
  for (const address of addresses(directory)) startServer(directory, address);
  await persist(hub, "setup");
  for (const node of nodes) await node.join(invites.get(node.name) ?? "", "live", publicKey, 40);
  const admin = await hub.admin();
  const { config, cluster } = await (await jetstreamManager(admin)).streams.info("CLAIMS");
  expect([config.num_replicas, cluster?.replicas?.length]).toEqual([3, 2]);
  await admin.close();

  for (const node of nodes) node.start();
  const submit = (from: number) =>
    Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        persist(hub, "submit", "hls", "--pool", "live", "--id", `job-${from + index}`),
      ),
    );
  const first = submit(0);
  const leader = cluster?.leader ?? "";
  expect(addresses(directory)).toContain(leader);
  await kill(leader);
  await first;
  const claimed = () => nodes.flatMap(({ mine }) => mine).sort();
  await until("the jobs are claimed by what is left of the hub", () => claimed().length === 10);
  await nodes[0]?.run("result-1");
  const resultsAtHub = async () => {
    const { code, stdout } = await hub.run("results", "--json");
    return code === 0 ? JSON.parse(stdout).map(({ job_id: id }: { job_id: string }) => id) : [];
  };
  await until("a result arrives", async () => (await resultsAtHub()).includes("result-1"));

  // A node is added while one server is away, which the command reports; the others have it.
  const added = hub.run("invite", "edge-3", "--pool", "live");
  await until("the users are written", () => directory.read().nodes["edge-3"] !== undefined);
  for (const server of servers.values()) server.kill("SIGHUP");
  expect((await added).stderr).toContain("edge-3 cannot connect yet");
  expect((await added).code).toBe(1);

  // Two of three are gone: nothing is stored, and the machines continue.
  const [second = "", last = ""] = addresses(directory).filter((address) => address !== leader);
  await kill(second);
  const refused = await hub.run("submit", "hls", "--pool", "live", "--id", "job-late");
  expect(refused.code).not.toBe(0);
  await nodes[1]?.run("result-2");
  for (const node of nodes) expect(isRunning(node.agentPid)).toBe(true);
  startServer(directory, second);
  startServer(directory, leader);
  await until("a result of that time arrives", async () => (await resultsAtHub()).includes("result-2"));
  await submit(10);
  await persist(hub, "submit", "hls", "--pool", "live", "--id", "job-late");
  await until("all jobs are claimed", () => claimed().length >= 21);
  const expected = [...Array.from({ length: 20 }, (_, index) => `job-${index}.1`), "job-late.1"];
  expect(claimed()).toEqual(expected.sort());
  expect(servers.has(last)).toBe(true);
  for (const node of nodes) await node.stop();
});

live("a server without a certificate of the fleet is no part of its hub", async () => {
  servers = new Map();
  const hub = new FleetHub(sandbox());
  const ports = clusterPorts();
  await hub.must("init", ports.map((port) => `127.0.0.1:${port}`).join(","));
  const directory = new FleetDirectory(hub.directory);
  const [first = ""] = addresses(directory);
  startServer(directory, first);
  await until("the server listens", async () => {
    const log = Bun.file(join(directory.hub, "nats-server.log"));
    return (await log.exists()) && (await log.text()).includes("Server is ready");
  });
  const openssl = sandbox().spawn(
    ["openssl", "s_client", "-connect", `127.0.0.1:${(ports[0] ?? 0) + 2000}`, "-quiet"],
    { stdin: "ignore", stdout: "ignore", stderr: "ignore" },
  );
  await openssl.exited;
  await until("the server refuses it", async () =>
    /TLS route handshake error/.test(await Bun.file(join(directory.hub, "nats-server.log")).text()),
  );
});
