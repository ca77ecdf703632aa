import { expect } from "bun:test";
import { chmodSync, cpSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { jetstreamManager } from "@nats-io/jetstream";
import { connectAsNode, FleetHub } from "../support/fleet/fleetHub.ts";
import { joinNode } from "../support/fleet/joinNode.ts";
import { someLiveJob, someReport } from "../support/fleet/messages.ts";
import { lacksNatsServer, NATS_SERVER } from "../support/fleet/natsProgram.ts";
import { isRunning, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const live = testIf(lacksNatsServer());

/** Joins a hub as a node, and returns the configuration. */
async function joinHub(hub: FleetHub, node: string): Promise<string> {
  const config = sandbox().path(`etc-${node}/node.yaml`);
  const { text } = await hub.invite(node);
  await joinNode(sandbox(), text, { config, agentDirectory: sandbox().path(`agent-${node}`) });
  return config;
}

/** Starts an agent, and returns what it has written so far. */
function startAgent(config: string): { log(): string; agent: Bun.Subprocess } {
  const file = sandbox().path("agent.log");
  const agent = sandbox().start(["fleet", "agent", "--config", config], {
    stdout: "ignore",
    stderr: openSync(file, "w"),
  });
  return { agent, log: () => readFileSync(file, "utf8") };
}

live("the agent of a revoked node says so once, and does not storm the hub", async () => {
  const hub = await FleetHub.start(sandbox());
  await sandbox().run(["run", "--job-id", "first", "--", "true"]);
  const { log, agent } = startAgent(await joinHub(hub, "edge-1"));
  await until("the agent is connected", () => log().includes("connected"));
  await hub.must("revoke", "edge-1");
  const tries = () =>
    readFileSync(`${hub.directory}/hub/nats-server.log`, "utf8").split("authentication error");
  await until("the hub has refused it several times", () => tries().length > 4);
  expect(log().split("\n").filter(Boolean)).toEqual([
    "ffrtmp: connected to the fleet's hub as node edge-1",
    "ffrtmp: the connection to the hub is lost: results wait in the ledger",
    expect.stringContaining(
      "does not accept the key of node edge-1: the node was revoked or renewed. Join again",
    ),
  ]);
  agent.kill("SIGTERM");
  expect(await agent.exited).toBe(0);
});

live("a full hub keeps what it has; the node says why its results wait, and sends them later", async () => {
  const hub = await FleetHub.start(sandbox());
  const config = await joinHub(hub, "edge-1");
  const admin = await hub.admin();
  const { streams } = await jetstreamManager(admin);
  await streams.update("RESULTS", { max_bytes: 1 });
  await sandbox().run(["run", "--job-id", "first", "--", "true"]);
  const { log } = startAgent(config);
  await until("the node says why", async () =>
    /^edge-1 +failing .* its results are not accepted: .*maximum bytes/m.test(await hub.must("ps")),
  );
  expect(log()).toContain(
    "results wait in the ledger: the hub does not store results: maximum bytes exceeded",
  );
  await streams.update("RESULTS", { max_bytes: 1024 * 1024 });
  await until("the result is at the hub", async () => (await hub.must("results")).includes("first"));
  await admin.close();
});

live("nodes can be added at once, and each command sees that the hub knows its node", async () => {
  const hub = await FleetHub.start(sandbox());
  const names = ["edge-1", "edge-2", "edge-3", "edge-4"];
  const ends = await Promise.all(names.map((name) => hub.run("invite", name)));
  expect(ends.map(({ code, stderr }) => [code, /hub has not read/.test(stderr)])).toEqual(
    names.map(() => [0, false]),
  );
  expect(JSON.parse(await hub.must("ps", "--json"))).toHaveLength(names.length);
});

live("one hostile report leaves the jobs of the others listed", async () => {
  const hub = await FleetHub.start(sandbox());
  const nodes = [
    await connectAsNode(await hub.invite("edge-1")),
    await connectAsNode(await hub.invite("edge-2")),
  ];
  const late = someLiveJob({ job: "x\u001b[2J", since: "+275760-09-13T00:00:00.000Z" });
  nodes[0]?.publish("ffrtmp.node.edge-1", JSON.stringify(someReport({ jobs: [late] })));
  nodes[1]?.publish("ffrtmp.node.edge-2", JSON.stringify(someReport({ jobs: [someLiveJob()] })));
  for (const node of nodes) await node.flush();
  const jobs = await hub.must("jobs");
  expect(jobs).toMatch(/^edge-1 +x\\u001b\[2J +running +- .*\nedge-2 +live-7 +running/m);
  for (const node of nodes) await node.close();
});

live("fleet up says that its hub does not answer where nodes connect, and ends by a signal", async () => {
  const hub = new FleetHub(sandbox());
  await hub.must("init", `127.0.0.1:${hub.port}`);
  const file = `${hub.directory}/hub/nats-server.conf`;
  writeFileSync(file, readFileSync(file, "utf8").replace(/listen: .*/, 'listen: "127.0.0.1:-1"'));
  const errors = sandbox().path("up.log");
  const args = ["fleet", "up", "--dir", hub.directory, "--nats-server", NATS_SERVER];
  const up = sandbox().start(args, { stderr: openSync(errors, "w") });
  await until("it says so", () =>
    readFileSync(errors, "utf8").includes(`compare the port with that of "listen"`),
  );
  const pid = Number(readFileSync(`${hub.directory}/hub/nats-server.pid`, "utf8"));
  sandbox().adopt(pid);
  up.kill("SIGTERM");
  expect([await up.exited, isRunning(pid)]).toEqual([143, false]);
});

live("a key that every user can read is refused, and so is an authority without a certificate", async () => {
  const hub = await FleetHub.start(sandbox());
  const config = await joinHub(hub, "edge-1");
  const key = config.replace("node.yaml", "node.nk");
  chmodSync(key, 0o644);
  const { code, stderr } = await sandbox().run(["fleet", "agent", "--config", config]);
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/every user of this machine can use it(.|\n)*try: chmod o=/),
  ]);
  chmodSync(key, 0o600);
  for (const [text, reason] of [
    ["", "contains no certificate of the hub's authority"],
    [undefined, "cannot read the certificate of the hub's authority"],
  ] as const) {
    const file = config.replace("node.yaml", "ca.pem");
    if (text === undefined) rmSync(file);
    else writeFileSync(file, text);
    const ended = await sandbox().run(["fleet", "agent", "--config", config]);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining(reason)]);
  }
  const admin = `${hub.directory}/admin.nk`;
  expect(statSync(admin).mode & 0o777).toBe(0o600);
  chmodSync(admin, 0o604);
  expect((await hub.run("ps")).stderr).toContain("every user of this machine can use it");
});

live(
  "a machine that was copied with its state is refused where its results differ, and ps says so",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const config = await joinHub(hub, "edge-1");
    const copy = sandbox().path("copy");
    sandbox().adoptState(copy);
    const onCopy = { env: { FFRTMP_STATE: copy } };
    await sandbox().run(["run", "--job-id", "before", "--", "true"]);
    cpSync(sandbox().state, copy, { recursive: true });
    await sandbox().run(["run", "--job-id", "of-the-original", "--", "true"]);
    await sandbox().run(["run", "--job-id", "of-the-copy", "--", "true"], onCopy);
    startAgent(config);
    const stored = () => hub.must("results");
    await until("the original has sent its results", async () =>
      (await stored()).includes("of-the-original"),
    );
    const errors = sandbox().path("copy.log");
    const outputs = { stdout: "ignore", stderr: openSync(errors, "w") } as const;
    sandbox().start(["fleet", "agent", "--config", config], { ...outputs, ...onCopy });
    await until("the copy says so", () =>
      readFileSync(errors, "utf8").includes(
        "no result is sent: the hub has results of this ledger up to number 2 that are not in it",
      ),
    );
    // Both report as one node, in turns.
    await until("ps says so", async () => /^edge-1 +refused .*cloned/m.test(await hub.must("ps")));
    await sandbox().run(["run", "--job-id", "later", "--", "true"]);
    await until("the original goes on", async () => (await stored()).includes("later"));
    const jobs = JSON.parse(await hub.must("results", "--json")).map(
      ({ job_id }: { job_id: string }) => job_id,
    );
    expect(jobs.sort()).toEqual(["before", "later", "of-the-original"]);
  },
);

live(
  "a hub on a small disk gets smaller streams, and says so; one without room is refused with a way out",
  async () => {
    for (const [room, said] of [
      ["700MB", /created .*RESULTS \(up to 256 MiB: the disk has no room for more\)/],
      ["10MB", /insufficient storage(.|\n)*try: make room on the disk of the hub/],
    ] as const) {
      const hub = new FleetHub(sandbox(), `fleet-${room}`);
      await hub.must("init", `127.0.0.1:${hub.port}`);
      const file = `${hub.directory}/hub/nats-server.conf`;
      const text = readFileSync(file, "utf8");
      writeFileSync(file, text.replace("sync_interval: always", `$&\n  max_file_store: ${room}`));
      sandbox().spawn([NATS_SERVER, "--config", "nats-server.conf"], { cwd: `${hub.directory}/hub` });
      let output = "";
      await until(`setup says so with ${room}`, async () => {
        const { stdout, stderr } = await hub.run("setup");
        output += stdout + stderr;
        return said.test(output);
      });
      expect(output).not.toContain("internal error");
    }
  },
);
