import { afterEach, expect } from "bun:test";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { ClusterServers, clusterPorts, persist } from "../support/fleet/clusterServers.ts";
import { DispatchingNode } from "../support/fleet/dispatchingNode.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { isRunning, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const live = testIf(lacksNatsServer());
let servers: ClusterServers | undefined;
afterEach(() => servers?.close());

live("a hub of three servers loses nothing with one of them, and continues when two are back", async () => {
  const hub = new FleetHub(sandbox());
  await hub.must(
    "init",
    clusterPorts()
      .map((port) => `127.0.0.1:${port}`)
      .join(","),
  );
  servers = new ClusterServers(sandbox(), hub);
  const { directory, addresses } = servers;
  const nodes = ["edge-1", "edge-2"].map((name) => new DispatchingNode(sandbox(), name));
  const { publicKey } = directory.signingKey("jobs");
  const invites = new Map<string, string>();
  for (const { name } of nodes) {
    // No server runs yet, which invite reports.
    const { stdout } = await hub.run("invite", name, "--pool", "live");
    invites.set(name, stdout.trim());
  }
  servers.startAll();
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
  expect(addresses).toContain(leader);
  await servers.kill(leader);
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
  servers.reload();
  expect((await added).stderr).toContain("edge-3 cannot connect yet");
  expect((await added).code).toBe(1);

  // Two of three are gone: nothing is stored, and the machines continue.
  const [second = ""] = addresses.filter((address) => address !== leader);
  await servers.kill(second);
  const refused = await hub.run("submit", "hls", "--pool", "live", "--id", "job-late");
  expect(refused.code).not.toBe(0);
  await nodes[1]?.run("result-2");
  for (const node of nodes) expect(isRunning(node.agentPid)).toBe(true);
  servers.start(second);
  servers.start(leader);
  await until("a result of that time arrives", async () => (await resultsAtHub()).includes("result-2"));
  await submit(10);
  await persist(hub, "submit", "hls", "--pool", "live", "--id", "job-late");
  await until("all jobs are claimed", () => claimed().length >= 21);
  const expected = [...Array.from({ length: 20 }, (_, index) => `job-${index}.1`), "job-late.1"];
  expect(claimed()).toEqual(expected.sort());
  for (const node of nodes) await node.stop();
});

live("a server without a certificate of the fleet is no part of its hub", async () => {
  const hub = new FleetHub(sandbox());
  const ports = clusterPorts();
  await hub.must("init", ports.map((port) => `127.0.0.1:${port}`).join(","));
  servers = new ClusterServers(sandbox(), hub);
  const { directory, addresses } = servers;
  const [first = ""] = addresses;
  servers.start(first);
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
