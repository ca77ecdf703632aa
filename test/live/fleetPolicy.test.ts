import { beforeEach, describe, expect } from "bun:test";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { FleetDirectory } from "../../src/fleet/hub/fleetDirectory.ts";
import { createSigningKey, type SigningKey } from "../../src/fleet/keys/signingKey.ts";
import type { PolicyBody } from "../../src/fleet/messages/control.ts";
import { type DocumentKind, signDocument } from "../../src/fleet/messages/signed.ts";
import { policySubject } from "../../src/fleet/messages/subjects.ts";
import { digestOf } from "../../src/fleet/policy/selection.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { PolicyNode } from "../support/fleet/policyNode.ts";
import { eventually, isRunning, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const testWithHub = testIf(lacksNatsServer());
const limitsTest = testIf(lacksNatsServer() ?? lacksLimits());

let file: string;
beforeEach(() => {
  file = sandbox().path("fleet-policy.yaml");
});

/** A policy that governs nothing on this machine, and differs from all others. */
function harmless(name: string): string {
  return `target_commands: [none-${sandbox().tag}]\ndefault_limits: {cpu_quota: 50} # ${name}\n`;
}

async function push(hub: FleetHub, text: string, ...flags: string[]) {
  writeFileSync(file, text);
  return hub.must("policy", "push", file, ...flags);
}

async function startNode(hub: FleetHub, name: string, ...flags: string[]): Promise<PolicyNode> {
  const node = await PolicyNode.join(sandbox(), hub, name, ...flags);
  sandbox().adoptState(node.state);
  await node.startWatch();
  await node.startAgent();
  return node;
}

/** Stores a document as a hub that was taken over would. */
async function storeAsHub(hub: FleetHub, text: string, ring = "stable"): Promise<void> {
  const connection = await hub.admin();
  connection.publish(policySubject(ring), text);
  await connection.flush();
  await connection.close();
}

function bodyOf(serial: number, different: Partial<PolicyBody> = {}): PolicyBody {
  const yaml = different.yaml ?? harmless(`by hand ${serial}`);
  return {
    ...{ v: 1, serial, ring: "stable", percent: 100, not_after: "2099-01-01T00:00:00.000Z", yaml },
    ...{
      sha256: digestOf(yaml),
      supersedes: null,
      by: "a thief",
      at: "2026-11-28T00:00:00.000Z",
      ...different,
    },
  };
}

limitsTest(
  "a ring takes a policy, by which its machines govern; another ring has not, and a rollback gives it the one before",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const canary = await startNode(hub, "edge-1", "--ring", "canary");
    const stable = await startNode(hub, "edge-2");
    const shell = sandbox().program("sh");
    const workload = sandbox().spawn([shell.path, "-c", "while :; do sleep 0.2; done"]);
    const policyOf = (quota: number) =>
      `target_commands: [${shell.name}]\ndefault_limits: {cpu_quota: ${quota}}\n`;
    const quotaOf = (quota: number) =>
      until(`the quota is ${quota} %`, async () => {
        const { stdout } = await canary.run("ps", "--json");
        const jobs = stdout === "" ? [] : JSON.parse(stdout);
        const job = jobs.find((each: { pid: number }) => each.pid === workload.pid);
        return job?.limits.some(
          (each: { limit: string; actual: string }) =>
            each.limit === "cpu.max" && each.actual === `${quota}000 100000`,
        );
      });

    await push(hub, policyOf(60), "--ring", "canary", "--wait", "2m");
    await quotaOf(60);
    await canary.untilPolicy({ serial: 1, state: "applied" });
    expect(await push(hub, policyOf(40), "--ring", "canary", "--wait", "2m")).toContain(
      "the ring canary has taken serial 2: 1 applied",
    );
    await quotaOf(40);
    // Whose policy it is, is said wherever an operator looks.
    expect(canary.watchLog).toContain("Fleet policy: serial 2 of the ring canary is in force");
    expect(readFileSync(`${canary.state}/fleet-policy.yaml`, "utf8")).toBe(policyOf(40));
    const { stderr } = await canary.run(
      ...["policy", "explain", "--pid", String(workload.pid), "--fleet-config", canary.config],
    );
    expect(stderr).toContain("the policy is that of the fleet: serial 2 of the ring canary");
    const doctor = await canary.run("doctor");
    expect(doctor.stdout).toContain("serial 2 of the ring canary is in force");

    // A daemon that starts again has it without the hub and the agent.
    await canary.endAgent();
    await canary.endWatch("SIGKILL");
    rmSync(`${canary.agentDirectory}/policy.signed.json`);
    await canary.startWatch();
    await canary.untilPolicy({ serial: 2, state: "applied" });
    await canary.startAgent();

    const back = await hub.must("policy", "rollback", "--ring", "canary", "--wait", "2m");
    expect(back).toContain("serial 3 is the policy of the ring canary: that of serial 1");
    await quotaOf(60);
    await stable.untilPolicy({ serial: null, state: "none" });
    expect(isRunning(workload.pid)).toBe(true);

    const rings = JSON.parse(await hub.must("policy", "status", "--json"));
    expect(rings).toMatchObject([
      {
        ring: "canary",
        serial: 3,
        percent: 100,
        is_own: true,
        nodes: [{ node: "edge-1", state: "applied", serial: 3 }],
      },
      { ring: "stable", serial: null, nodes: [{ node: "edge-2" }] },
    ]);
    expect((await hub.must("policy", "status")).split("\n")[1]).toMatch(/^canary +3 +100 % /);
    const ps = await eventually("ps shows both", async () => {
      const nodes = JSON.parse(await hub.must("ps", "--json"));
      return nodes.every((each: { policy: unknown }) => each.policy !== null) ? nodes : undefined;
    });
    expect(ps).toMatchObject([
      { node: "edge-1", ring: "canary", policy: { serial: 3, state: "applied" }, cordoned: null },
      { node: "edge-2", ring: "stable", policy: { serial: null, state: "none" } },
    ]);
  },
);

describe("a hub that was taken over, and a stolen key, change no policy", () => {
  interface Attack {
    name: string;
    /** Why watch refuses it. */
    why: RegExp;
    kind?: DocumentKind;
    body?: Partial<PolicyBody>;
    key?: SigningKey;
    text?: (honest: string) => string;
  }
  const attacks: Attack[] = [
    { name: "a signer whom nobody trusts", why: /does not trust its signer/, key: createSigningKey() },
    {
      name: "a text that was changed",
      why: /its signature is not by/,
      text: (text) => text.replace("cpu_quota: 50", "cpu_quota: 90"),
    },
    { name: "an older serial", why: /serial 1: it is older than serial 2/, body: { serial: 1 } },
    { name: "another kind of document", why: /it is a job, not a policy/, kind: "job" },
    { name: "the policy of another ring", why: /it is for the ring canary/, body: { ring: "canary" } },
    { name: "an expired policy", why: /it expired at/, body: { not_after: "2026-01-01T00:00:00.000Z" } },
    {
      name: "a policy that runs a command",
      why: /on_end.*runs a command/,
      body: { yaml: "on_end: /bin/true\n" },
    },
    {
      name: "a policy that deletes records",
      why: /retention.*deletes records/,
      body: { yaml: "retention: {max_age: 1h}\n" },
    },
    {
      name: "a policy that sends the environment of processes",
      why: /would send the environment/,
      body: { yaml: "rules: [{name: a, match: {user: root}, tenant: '{env:AWS_SECRET_ACCESS_KEY}'}]\n" },
    },
    { name: "nonsense", why: /no signed document/, text: () => "}{" },
    { name: "nothing", why: /no signed document/, text: () => "" },
  ];

  testWithHub("all of them are refused, and the policy in force stays", async () => {
    const hub = await FleetHub.start(sandbox());
    const node = await startNode(hub, "edge-1");
    const operator = new FleetDirectory(hub.directory).signingKey("policy");
    await push(hub, harmless("first"));
    await push(hub, harmless("second"), "--wait", "2m");
    for (const {
      name,
      why,
      kind = "policy",
      body,
      key = operator,
      text = (honest: string) => honest,
    } of attacks) {
      const document = JSON.stringify(signDocument(kind, bodyOf(3, body), key));
      await storeAsHub(hub, text(document));
      await node.untilPolicy({ serial: 2, state: "refused", why }).catch((error) => {
        throw new Error(`${name}: ${error.message}`);
      });
    }
    expect(readFileSync(`${node.state}/fleet-policy.yaml`, "utf8")).toBe(harmless("second"));
    const health = await node.run("health");
    expect(health.stdout).toContain("the policy of the fleet is refused, serial 2 is in force");
    await until("ps shows it", async () =>
      (await hub.must("ps")).includes("the policy of the fleet is refused there"),
    );
    // The next one of the operator is above what is there, and above what others have signed within reason.
    await push(hub, harmless("third"), "--wait", "2m");
    await node.untilPolicy({ state: "applied" });

    // What a stolen agent could place.
    await node.endAgent();
    writeFileSync(`${node.agentDirectory}/policy.signed.json`, "x".repeat(300_000));
    await node.untilPolicy({ state: "refused", why: /has more than 262144 bytes/ });
  });
});

testWithHub(
  "a hub that was restored from an older backup takes nothing back, and the next push counts above",
  async () => {
    const hub = await FleetHub.start(sandbox());
    await hub.must("policy", "status");
    const node = await PolicyNode.join(sandbox(), hub, "edge-1");
    await node.startWatch();
    await node.startAgent();
    await push(hub, harmless("first"), "--wait", "2m");
    const data = `${hub.directory}/hub/data`;
    const backup = sandbox().path("backup");
    await hub.stop();
    cpSync(data, backup, { recursive: true });
    await hub.up();
    await push(hub, harmless("second"));
    await push(hub, harmless("third"), "--wait", "2m");
    await node.untilPolicy({ serial: 3, state: "applied" });
    await hub.stop();
    rmSync(data, { recursive: true });
    cpSync(backup, data, { recursive: true });
    await hub.up();
    await node.untilPolicy({ serial: 3, state: "refused", why: /serial 1: it is older than serial 3/ });
    await until("the hub knows of the node's serial", async () => {
      const [status] = JSON.parse(await hub.must("policy", "status", "--json"));
      return status.nodes[0]?.serial === 3;
    });
    expect(await push(hub, harmless("fourth"), "--wait", "2m")).toContain("has taken serial 4");
  },
);

testWithHub(
  "an agent that is killed at any time leaves a whole policy, and the next one brings the last",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const node = await startNode(hub, "edge-1");
    const placed = `${node.agentDirectory}/policy.signed.json`;
    for (let round = 0; round < 6; round++) {
      await push(hub, harmless(`round ${round}`));
      await Bun.sleep(round * 7);
      await node.endAgent("SIGKILL");
      const found = existsSync(placed) ? readFileSync(placed, "utf8") : "{}";
      expect(() => JSON.parse(found)).not.toThrow();
      // Between the writing and the rename.
      writeFileSync(`${placed}.new`, '{"v":1,"kind":"pol');
      await node.startAgent();
    }
    await node.untilPolicy({ serial: 6, state: "applied" });
  },
);

testWithHub("root of a machine decides: an own policy, no trust, another key", async () => {
  const hub = await FleetHub.start(sandbox());
  const node = await startNode(hub, "edge-1", "--no-policy");
  await push(hub, harmless("first"));
  await node.untilPolicy({ serial: null, state: "ignored", why: /trusts no operator/ });
  const key = (await hub.must("key")).trim();
  const trust = (...args: string[]) => sandbox().run(["fleet", "trust", ...args, "--config", node.config]);
  expect((await trust(key)).code).toBe(0);
  await node.untilPolicy({ serial: 1, state: "applied" });

  const own = readFileSync(node.policy, "utf8");
  writeFileSync(node.policy, `${own}fleet: ignore\n`);
  await node.untilPolicy({ serial: null, state: "ignored", why: /fleet: ignore/ });
  writeFileSync(node.policy, own);
  await node.untilPolicy({ serial: 1, state: "applied" });

  // The next key, before the first one goes.
  const next = sandbox().path("next.nk");
  const nextKey = (await hub.must("key", "--create", next)).trim();
  expect((await trust(nextKey)).code).toBe(0);
  await push(hub, harmless("by the next key"), "--key", next, "--wait", "2m");
  await node.untilPolicy({ serial: 2, state: "applied" });
  expect((await trust("--remove", key)).code).toBe(0);
  await push(hub, harmless("by the first key"));
  await node.untilPolicy({ serial: 2, state: "refused", why: /does not trust its signer/ });
  expect((await trust()).stdout).toBe(`${nextKey}\n`);
  // Without any key, the machine is its own again.
  expect((await trust("--remove", nextKey)).code).toBe(0);
  await node.untilPolicy({ serial: null, state: "ignored" });
});

testWithHub(
  "pushes at once: each policy has a serial of its own, and the later caller gets the reason",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const files = ["a", "b", "c", "d"].map((name) => {
      const path = sandbox().path(`${name}.yaml`);
      writeFileSync(path, harmless(name));
      return path;
    });
    const pushes = await Promise.all(files.map((path) => hub.run("policy", "push", path)));
    const won = pushes.filter(({ code }) => code === 0);
    expect(won.length).toBeGreaterThan(0);
    const late = pushes.filter(({ code }) => code !== 0).map(({ stderr }) => stderr);
    expect(late.filter((text) => !text.includes("another policy was pushed to the ring"))).toEqual([]);
    const serials = won.map(({ stdout }) => /serial (\d+)/.exec(stdout)?.[1]);
    expect(new Set(serials).size).toBe(won.length);
    const [status] = JSON.parse(await hub.must("policy", "status", "--json"));
    expect(status.serial).toBe(won.length);
  },
);

testWithHub(
  "a policy that no node could use is not pushed, and the place of each fault is named",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const attempts: [string, string[]][] = [
      [
        "default_limits: {cpu_quota: lots}\n",
        [`${file}:1:29: default_limits.cpu_quota: "lots"`, "cannot be used: 1 error"],
      ],
      [
        "target_commands: [ffmpeg]\non_end: /bin/true\nretention: {max_age: 1d}\n",
        [`${file}:2:1: on_end`, `${file}:3:1: retention`, "cannot be the policy of a fleet: 2 errors"],
      ],
      ["", ["the file contains no policy"]],
    ];
    for (const [text, expected] of attempts) {
      writeFileSync(file, text);
      const { code, stderr } = await hub.run("policy", "push", file);
      expect(code).toBe(2);
      for (const part of expected) expect(stderr).toContain(part);
    }
    expect(JSON.parse(await hub.must("policy", "status", "--json"))).toEqual([]);
    for (const [args, message] of [
      [["push", "/nowhere"], "does not exist"],
      [["push", file, "--ring", "a.b"], "is not the name of a ring"],
      [["push", file, "--percent", "101"], "is not between 0 and 100"],
      [["push", file, "--max-violations", "1%"], "add --wait 10m"],
      [["rollback"], "no policy of the ring stable"],
    ] as const) {
      writeFileSync(file, harmless("x"));
      const { code, stderr } = await hub.run("policy", ...args);
      expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  },
);

testWithHub("a push that a node refuses, or that no node takes, ends with 1", async () => {
  const hub = await FleetHub.start(sandbox());
  writeFileSync(file, harmless("x"));
  const nobody = await hub.run("policy", "push", file, "--wait", "2s");
  expect([nobody.code, nobody.stderr]).toEqual([
    1,
    expect.stringContaining("the ring stable has not taken serial 1"),
  ]);
  const node = await startNode(hub, "edge-1");
  // A key that the node does not know.
  const next = sandbox().path("next.nk");
  await hub.must("key", "--create", next);
  await node.untilPolicy({ serial: 1 });
  const refused = await hub.run("policy", "push", file, "--key", next, "--wait", "2m");
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("does not trust its signer")]);
});

limitsTest(
  "a push waits for its whole time, and fails where too many jobs are in violation on nodes that have the policy",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const canary = await startNode(hub, "edge-1", "--ring", "canary");
    const other = await startNode(hub, "edge-2");
    // No machine has this disk.
    const impossible = ["--io-max", "4095:77 rbps=1M"];
    const end = (node: PolicyNode, isCompliant: boolean) =>
      sandbox().run([
        ...["run", "--state-path", node.state, "--sla-eligible"],
        ...(isCompliant ? [] : impossible),
        ...["--", "true"],
      ]);
    const text = harmless("first");
    writeFileSync(file, text);
    const push = (...flags: string[]) => hub.run("policy", "push", file, "--ring", "canary", ...flags);

    expect(await push("--max-violations", "1%")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--max-violations is about the time of --wait"),
    });
    // Jobs from before, and those of other rings, say nothing about the policy.
    await end(canary, false);
    await until("that result is at the hub", async () => (await hub.must("results")).includes("edge-1"));
    const good = push("--wait", "25s", "--max-violations", "40%");
    await canary.untilPolicy({ serial: 1, state: "applied" });
    for (const isCompliant of [true, false, true]) await end(canary, isCompliant);
    await end(other, false);
    const passed = await good;
    expect([passed.code, passed.stdout]).toEqual([
      0,
      expect.stringContaining("the ring canary has taken serial 1: 1 applied; 1 of 3 jobs in violation"),
    ]);

    writeFileSync(file, harmless("second"));
    const bad = push("--wait", "10m", "--max-violations", "40%");
    await canary.untilPolicy({ serial: 2, state: "applied" });
    for (const isCompliant of [true, false]) await end(canary, isCompliant);
    const failed = await bad;
    expect([failed.code, failed.stderr]).toEqual([
      1,
      expect.stringMatching(
        /1 of [12] jobs in violation: more than allowed. To take it back: ffrtmp fleet policy rollback --ring canary/,
      ),
    ]);
    // It does not roll back by itself.
    await canary.untilPolicy({ serial: 2, state: "applied" });
  },
);
