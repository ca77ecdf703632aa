import { expect } from "bun:test";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { FleetDirectory } from "../../src/fleet/hub/fleetDirectory.ts";
import { readStream } from "../../src/fleet/hub/readStream.ts";
import { createSigningKey } from "../../src/fleet/keys/signingKey.ts";
import type { DesiredBody } from "../../src/fleet/messages/control.ts";
import { nodeMessage } from "../../src/fleet/messages/node.ts";
import { signDocument } from "../../src/fleet/messages/signed.ts";
import { desiredSubject } from "../../src/fleet/messages/subjects.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { PolicyNode } from "../support/fleet/policyNode.ts";
import { isRunning, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const testWithHub = testIf(lacksNatsServer());

interface Cordoned {
  from: string;
  by: string;
  reason: string;
}

async function startNode(hub: FleetHub, name: string): Promise<PolicyNode> {
  const node = await PolicyNode.join(sandbox(), hub, name);
  sandbox().adoptState(node.state);
  await node.startAgent();
  return node;
}

/** Waits until the hub knows from the node itself whether it is cordoned. */
async function untilCordoned(
  hub: FleetHub,
  node: PolicyNode,
  expected: Partial<Cordoned> | null,
): Promise<void> {
  let found: Cordoned | null | undefined;
  const { name } = node;
  await until(`${name} says that it is cordoned: ${JSON.stringify(expected)}`, async () => {
    const nodes = JSON.parse(await hub.must("ps", "--json"));
    const reported = nodes.find((each: { node: string }) => each.node === name);
    if (reported?.ring === null) return false;
    found = reported?.cordoned;
    if (expected === null || found === null || found === undefined) return found === expected;
    return Object.entries(expected).every(([key, value]) => found?.[key as keyof Cordoned] === value);
  }).catch((error) => {
    throw new Error(`${error.message}; it says ${JSON.stringify(found)}\n${node.agentLog}`);
  });
}

testWithHub("an operator cordons a node and ends it; the agent knows also after its own end", async () => {
  const hub = await FleetHub.start(sandbox());
  const node = await startNode(hub, "edge-1");
  await untilCordoned(hub, node, null);
  expect(await hub.must("cordon", "edge-1", "--reason", "new disk")).toContain("claims no further jobs");
  await untilCordoned(hub, node, { from: "fleet", reason: "new disk" });
  const shown = await hub.must("ps");
  expect(shown).toContain("new disk");
  expect(shown).toMatch(/^edge-1 +failing, cordoned /m);
  await node.endAgent("SIGKILL");
  await node.startAgent();
  await hub.must("uncordon", "edge-1");
  await untilCordoned(hub, node, null);
  for (const [args, message] of [
    [["cordon", "edge-9", "--reason", "x"], "the fleet has no node edge-9"],
    [["cordon", "*", "--reason", "x"], "the fleet has no node"],
    [["cordon", "edge-1", "--reason", " "], "the reason must have"],
  ] as const) {
    const { code, stderr } = await hub.run(...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  }
});

testWithHub("root of a machine cordons it without the hub, and that comes first", async () => {
  const hub = await FleetHub.start(sandbox());
  const node = await startNode(hub, "edge-1");
  const local = (...args: string[]) => sandbox().run(["fleet", ...args, "--config", node.config]);
  await hub.stop();
  const cordoned = await local("cordon", "--reason", "by root");
  expect([cordoned.code, cordoned.stdout]).toEqual([
    0,
    expect.stringContaining("node edge-1, claims no further jobs"),
  ]);
  await hub.up();
  await untilCordoned(hub, node, { from: "node", reason: "by root" });
  await hub.must("cordon", "edge-1", "--reason", "by the operator");
  await hub.must("uncordon", "edge-1");
  await untilCordoned(hub, node, { from: "node", reason: "by root" });
  await hub.must("cordon", "edge-1", "--reason", "by the operator");
  await until("the agent has it", () => existsSync(`${node.agentDirectory}/desired.json`));
  await until("root's end of it is not the operator's", async () => {
    const { code, stderr } = await local("uncordon");
    return code === 1 && stderr.includes("stays cordoned") && stderr.includes("by the operator");
  });
  await untilCordoned(hub, node, { from: "fleet", reason: "by the operator" });
  await hub.must("uncordon", "edge-1");
  await untilCordoned(hub, node, null);
  expect((await local("uncordon")).stdout).toContain("was not cordoned");
  const none = await sandbox().run([
    "fleet",
    "cordon",
    "--reason",
    "x",
    "--config",
    sandbox().path("none.yaml"),
  ]);
  expect([none.code, none.stderr]).toEqual([
    2,
    expect.stringContaining("cannot read the fleet configuration"),
  ]);
});

testWithHub(
  "a hub cannot cordon, and cannot end it: not by another key, another node's document or an older one",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const node = await startNode(hub, "edge-1");
    const operator = new FleetDirectory(hub.directory).signingKey("policy");
    await hub.must("cordon", "edge-1", "--reason", "first");
    await hub.must("cordon", "edge-1", "--reason", "second");
    await untilCordoned(hub, node, { reason: "second" });
    const connection = await hub.admin();
    const store = async (serial: number, different: Partial<DesiredBody>, key = operator) => {
      const base = { v: 1 as const, node: "edge-1", serial, cordon: null, ring: null, by: "a thief" };
      const body: DesiredBody = { ...base, at: new Date().toISOString(), ...different };
      connection.publish(desiredSubject("edge-1"), JSON.stringify(signDocument("node", body, key)));
      await connection.flush();
    };
    await store(3, {}, createSigningKey());
    await store(3, { node: "edge-2" });
    await store(1, {});
    connection.publish(desiredSubject("edge-1"), "}{");
    await connection.flush();
    await connection.close();
    // The agent reads them all again.
    await node.endAgent("SIGKILL");
    await node.startAgent();
    await hub.must("ring", "edge-1", "canary");
    await until("the node is in the other ring", async () => (await hub.must("ps")).includes("canary"));
    // What the operator wanted before is kept.
    await untilCordoned(hub, node, { from: "fleet", reason: "second" });
    await hub.must("ring", "edge-1", "--reset");
    await hub.must("uncordon", "edge-1");
    await untilCordoned(hub, node, null);
  },
);

testWithHub("a node drains: the jobs of the fleet end by themselves, and others run on", async () => {
  const hub = await FleetHub.start(sandbox());
  const node = await PolicyNode.join(sandbox(), hub, "edge-1");
  sandbox().adoptState(node.state);
  const stop = sandbox().path("stop");
  writeFileSync(stop, "");
  const start = async (id: string, labels: string[], script: string) => {
    const flags = ["--job-id", id, ...labels.flatMap((label) => ["--label", label])];
    const { code, stderr } = await sandbox().run(
      ["run", "-d", ...flags, "--state-path", node.state, "--", "sh", "-c", script],
      { env: { FFRTMP_STATE: node.state } },
    );
    if (code !== 0) throw new Error(stderr);
    const { stdout } = await node.run("inspect", id, "--json");
    const { pid } = JSON.parse(stdout);
    sandbox().adopt(pid);
    return pid as number;
  };
  const ofFleet = await start(
    "enc-7.1",
    ["fleet_job=enc-7", "fleet_attempt=1"],
    `while [ -e ${stop} ]; do sleep 0.2; done`,
  );
  const other = await start("own", [], "while :; do sleep 0.2; done");
  await node.startAgent();
  await until("the hub knows of both", async () => JSON.parse(await hub.must("jobs", "--json")).length === 2);

  const short = await hub.run("drain", "edge-1", "--wait", "--timeout", "1s");
  expect([short.code, short.stderr]).toEqual([124, expect.stringContaining("edge-1 stays cordoned")]);
  const drained = hub.run("drain", "edge-1", "--wait", "--reason", "reboot");
  await untilCordoned(hub, node, { from: "fleet", reason: "reboot" });
  expect([ofFleet, other].map((pid) => isRunning(pid))).toEqual([true, true]);
  rmSync(stop);
  const { code, stdout, stderr } = await drained;
  expect([code, stdout]).toEqual([
    0,
    expect.stringContaining("no job of the fleet runs or is claimed there; 1 other job runs on"),
  ]);
  expect(stderr).toContain("1 job of the fleet runs there; 1 other job runs on");
  expect(isRunning(other)).toBe(true);
});

testWithHub("what claims jobs obeys the cordon that the node reports", async () => {
  const hub = await FleetHub.start(sandbox());
  const node = await PolicyNode.join(sandbox(), hub, "edge-1");
  sandbox().adoptState(node.state);
  // There is no claim without a ledger.
  await sandbox().run(["run", "--job-id", "first", "--state-path", node.state, "--", "true"], {
    env: { FFRTMP_STATE: node.state },
  });
  await node.run("ps");
  const accept = `${node.etc}/accept.yaml`;
  const trusted = [createSigningKey().publicKey];
  writeFileSync(accept, JSON.stringify({ v: 1, pools: ["live"], slots: 1, as: "nobody", trusted }));
  const other = ["--config", node.config, "--agent-state", sandbox().path("claims")];
  const refused = await sandbox().run(["fleet", "agent", ...other, "--state-path", node.state]);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("is not the state_dir of")]);
  // Its permission is found beside the configuration, and its directory in it.
  await node.startAgent();
  const dispatch = async () => {
    const connection = await hub.admin();
    try {
      const { messages } = await readStream(connection, "NODES", nodeMessage, { onlyLast: true });
      return messages[0]?.message?.dispatch;
    } finally {
      await connection.close();
    }
  };
  await until("the node asks for jobs", async () => /pulling|failing/.test((await dispatch())?.state ?? ""));
  await hub.must("cordon", "edge-1", "--reason", "new disk");
  await until("it does no longer", async () => (await dispatch())?.state === "cordoned");
  expect((await dispatch())?.why).toContain("new disk");
});
