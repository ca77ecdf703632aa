import { expect } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readNodeConfig } from "../../src/fleet/nodeConfig.ts";
import { connectAsNode, FleetHub } from "../support/fleet/fleetHub.ts";
import { joinNode } from "../support/fleet/joinNode.ts";
import { someLiveJob, someReport, someResultLine } from "../support/fleet/messages.ts";
import { lacksNatsServer, NATS_SERVER } from "../support/fleet/natsProgram.ts";
import { isRunning, lacksCommand, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const live = testIf(lacksNatsServer());
const withOpenssl = testIf(lacksCommand("openssl"));

withOpenssl("the keys of a fleet can be read by their owner alone, and are made once", async () => {
  const hub = new FleetHub(sandbox());
  const stdout = await hub.must("init", "hub.example.net");
  expect(stdout).toContain("ffrtmp fleet invite --dir");
  const files = readdirSync(hub.directory, { recursive: true }).map((name) =>
    join(hub.directory, String(name)),
  );
  expect(files.length).toBeGreaterThan(8);
  for (const file of files) expect([file, statSync(file).mode & 0o077]).toEqual([file, 0]);
  const before = readFileSync(`${hub.directory}/fleet.json`, "utf8");
  const again = await hub.run("init", "other.example.net");
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining("already has the keys of a fleet")]);
  expect(readFileSync(`${hub.directory}/fleet.json`, "utf8")).toBe(before);
});

withOpenssl("bad names, a missing fleet and a missing hub are refused with a way out", async () => {
  const hub = new FleetHub(sandbox());
  for (const [args, reason] of [
    [["init", "tls://hub"], "is not the address of a hub"],
    [["invite", "edge-1"], "there is no fleet in"],
    [["ps"], "there is no fleet in"],
  ] as const) {
    const { code, stderr } = await hub.run(...args);
    expect([code, stderr]).toEqual([2, expect.stringMatching(new RegExp(`${reason}(.|\n)* {2}try: `))]);
  }
  expect(existsSync(hub.directory)).toBe(false);
  await hub.must("init", `127.0.0.1:${hub.port}`);
  expect((await hub.run("invite", "edge.1")).stderr).toContain("expected 1 to 63 letters, digits, - or _");
  expect((await hub.run("revoke", "edge-1")).stderr).toContain("the fleet has no node edge-1");
  const { code, stderr } = await hub.run("ps");
  expect([code, stderr]).toEqual([
    2,
    expect.stringContaining(`cannot connect to the hub at tls://127.0.0.1:${hub.port}`),
  ]);
  const old = sandbox().path("old");
  writeFileSync(old, "#!/bin/sh\necho nats-server: v2.9.10\n", { mode: 0o755 });
  expect((await hub.run("up", "--nats-server", old)).stderr).toContain("2.9.10, which is too old");
});

live(
  "a machine joins with the line that invite prints, and no longer after its node was revoked",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const { text, ...invite } = await hub.invite("edge-1");
    const config = sandbox().path("etc/node.yaml");
    const join = (...flags: string[]) =>
      sandbox().run(["fleet", "join", "--config", config, ...flags, "-"], { stdin: new Blob([text]) });
    const joined = await join("--label", "site=ber");
    expect([joined.code, joined.stdout]).toEqual([0, expect.stringContaining("this machine is node edge-1")]);
    const { nkeyFile, caFile = "", ...rest } = readNodeConfig(config);
    expect(rest).toMatchObject({ node: "edge-1", hub: invite.hub, labels: { site: "ber" } });
    expect(readFileSync(nkeyFile, "utf8").trim()).toBe(invite.seed);
    expect(readFileSync(caFile, "utf8")).toBe(invite.authority);
    expect(statSync(nkeyFile).mode & 0o007).toBe(0);
    const again = await join();
    expect([again.code, again.stderr]).toEqual([
      2,
      expect.stringContaining("this machine is a node already"),
    ]);

    await hub.must("revoke", "edge-1");
    const written = readFileSync(nkeyFile, "utf8");
    const late = await join("--replace");
    expect([late.code, late.stderr]).toEqual([2, expect.stringContaining("does not accept this key")]);
    expect(readFileSync(nkeyFile, "utf8")).toBe(written);
  },
);

live(
  "adding a node leaves the others connected, and revoking or renewing one ends only its own connection",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const connected = async (node: string) => {
      const connection = await connectAsNode(await hub.invite(node));
      return connection;
    };
    const [first, second, third] = [
      await connected("edge-1"),
      await connected("edge-2"),
      await connected("edge-3"),
    ];
    await hub.must("revoke", "edge-1");
    await until("the revoked node is cut off", () => first.isClosed());
    await hub.must("invite", "edge-2", "--renew");
    await until("the node with a new key is cut off", () => second.isClosed());
    await third.flush();
    expect(third.isClosed()).toBe(false);
    await third.close();
  },
);

live("a directory and a port have one hub at a time", async () => {
  const { directory, port } = await FleetHub.start(sandbox());
  const second = await sandbox().run(["fleet", "up", "--dir", directory, "--nats-server", NATS_SERVER]);
  expect([second.code, second.stderr]).toEqual([
    2,
    expect.stringContaining("another ffrtmp fleet up runs the hub"),
  ]);
  const other = sandbox().path("other");
  await sandbox().run(["fleet", "init", "--dir", other, `127.0.0.1:${port}`]);
  const third = await sandbox().run(["fleet", "up", "--dir", other, "--nats-server", NATS_SERVER]);
  expect([third.code, third.stderr]).toEqual([2, expect.stringContaining("address already in use")]);
});

live("fleet up ends its server, also one that it finds running, and its streams outlive both", async () => {
  const hub = new FleetHub(sandbox());
  await hub.must("init", `127.0.0.1:${hub.port}`);
  const { process, serverPid } = await hub.up();
  expect(readFileSync(`/proc/${serverPid}/environ`, "utf8").split("\0")).toContain("GOGC=20");
  process.kill("SIGTERM");
  expect(await process.exited).toBe(143);
  expect(isRunning(serverPid)).toBe(false);
  const away = await hub.run("invite", "edge-1");
  expect([away.code, away.stderr]).toEqual([1, expect.stringContaining("edge-1 cannot connect yet")]);

  const second = await hub.up();
  expect(await hub.must("setup")).toBe("the hub has all streams, as they should be\n");
  expect(await hub.must("ps")).toMatch(/edge-1 +invited/);
  second.process.kill("SIGKILL");
  await second.process.exited;
  const third = await hub.run("up", "--nats-server", NATS_SERVER);
  expect([third.code, third.stderr]).toEqual([2, expect.stringContaining(`as PID ${second.serverPid}`)]);
});

live("ps, jobs, results and sla show what the nodes have sent", async () => {
  const hub = await FleetHub.start(sandbox());
  const [first, second] = [
    await connectAsNode(await hub.invite("edge-1")),
    await connectAsNode(await hub.invite("edge-2")),
  ];
  await hub.invite("edge-3");
  const outbox = { seq: 9, sent: 7, oldest_ms: 0, state: "diverged" as const, why: "the hub has result 9" };
  first.publish(
    "ffrtmp.node.edge-1",
    JSON.stringify(someReport({ labels: { site: "ber" }, jobs: [someLiveJob()], more: 3 })),
  );
  // A hostile node: control characters, the name of another, and no JSON.
  second.publish("ffrtmp.node.edge-2", "\u001b[31m{");
  second.publish(
    "ffrtmp.node.edge-2",
    JSON.stringify(
      someReport({ node: "edge-1", ledger_id: "ledger-of-edge-2", outbox, labels: { a: "\u001b[2Jx" } }),
    ),
  );
  const eligible = { slaEligible: true };
  const batch = (node: string, results: unknown[]) =>
    JSON.stringify({
      v: 1,
      ledger_id: `ledger-of-${node}`,
      boot_id: "b",
      from: 1,
      to: results.length,
      to_key: "k",
      results,
    });
  first.publish(
    "ffrtmp.result.edge-1",
    batch("edge-1", [
      someResultLine(1, eligible),
      someResultLine(2, eligible, { slaCompliant: false, slaReason: "oom_killed" }),
    ]),
  );
  second.publish(
    "ffrtmp.result.edge-2",
    batch("edge-2", [{ ...someResultLine(3, eligible), key: "key-of-edge-2" }, "x"]),
  );
  await Promise.all([first.flush(), second.flush()]);

  const ps = await hub.must("ps");
  expect(ps).toMatch(/^NODE +STATE +LAST REPORT/);
  expect(ps).toMatch(/^edge-1 +up .* 4 +0 +75\.00 % +running +- +- +- +0\.1\.0 +8 +site=ber +-$/m);
  expect(ps).toMatch(/^edge-2 +refused .* its results are refused: the hub has result 9$/m);
  expect(ps).toMatch(/^edge-3 +invited +- /m);
  expect(ps).not.toContain("\u001b");
  await hub.must("revoke", "edge-2");
  expect(
    await hub
      .must("ps", "--json")
      .then((text) => JSON.parse(text).map((each: { state: string }) => each.state)),
  ).toEqual(["up", "revoked", "invited"]);

  const jobs = await hub.run("jobs");
  expect(jobs.stdout).toMatch(/^edge-1 +live-7 +running +2026-11-28 .* watch +4026 .* 2 applied, 1 refused/m);
  expect(jobs.stderr).toContain("edge-1 has 3 more jobs");
  expect(JSON.parse(await hub.must("jobs", "--json", "--node", "edge-1"))).toMatchObject([
    { job_id: "live-7", node: "edge-1" },
  ]);
  expect((await hub.run("jobs", "--node", "edge-9")).stderr).toContain("its nodes are: edge-1, edge-3");

  for (const command of ["jobs", "results"])
    expect((await hub.run(command, "--node", "*")).stderr).toContain("the fleet has no node *");

  const results = await hub.run("results");
  expect(results.stdout.split("\n")).toHaveLength(5);
  expect(results.stdout).toMatch(/^edge-2 +succeeded .* job-3 +0 .* compliant/m);
  expect(results.stderr).toContain("1 result is left out");
  expect(JSON.parse(await hub.must("results", "--json", "--violations"))).toMatchObject([
    { node: "edge-1", job_id: "job-2" },
  ]);
  expect((await hub.run("results", "--failed")).stderr).toContain("the hub has no such result since");
  expect(await hub.must("sla")).toMatch(
    /NODE +JOBS.*\n\(all\) +3 +2 +1 +66\.66 %.*\nedge-1 +2 +1 +1 +50\.00 % +oom_killed: 1\nedge-2 +1/,
  );
  expect(JSON.parse(await hub.must("sla", "--json"))).toMatchObject({
    overall: { eligible: 3 },
    nodes: [{ node: "edge-1" }, { node: "edge-2" }],
  });
  await Promise.all([first.close(), second.close()]);
});

live("the agent of a joined node brings results to the hub, also after it was away", async () => {
  const hub = new FleetHub(sandbox());
  await hub.must("init", `127.0.0.1:${hub.port}`);
  const { process } = await hub.up();
  const config = sandbox().path("etc/node.yaml");
  const { text } = await hub.invite("edge-1");
  await joinNode(sandbox(), text, { config, agentDirectory: sandbox().path("agent") });
  await sandbox().run(["run", "--job-id", "first", "--sla-eligible", "--", "true"]);
  sandbox().start(["fleet", "agent", "--config", config], { stdout: "ignore", stderr: "ignore" });
  const jobsAtHub = async () => {
    const { code, stdout } = await hub.run("results", "--json");
    return code === 0 ? JSON.parse(stdout).map(({ job_id: id }: { job_id: string }) => id) : [];
  };
  await until("the first result is at the hub", async () => (await jobsAtHub()).includes("first"));
  expect(await hub.must("ps")).toMatch(/^edge-1 +up .* 0 +0 +100\.00 %/m);
  process.kill("SIGTERM");
  await process.exited;
  await sandbox().run(["run", "--job-id", "second", "--", "false"]);
  await hub.up();
  await until("the second result is at the hub", async () => (await jobsAtHub()).includes("second"));
  expect(await jobsAtHub()).toEqual(["second", "first"]);
});
