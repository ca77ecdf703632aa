import { expect, setDefaultTimeout } from "bun:test";
import { writeFileSync } from "node:fs";
import { storeDocument } from "../../src/fleet/hub/documents.ts";
import { FleetDirectory } from "../../src/fleet/hub/fleetDirectory.ts";
import { publishTemplate, readStoredTemplate } from "../../src/fleet/hub/publishTemplate.ts";
import { createSigningKey } from "../../src/fleet/keys/signingKey.ts";
import { signDocument } from "../../src/fleet/messages/signed.ts";
import { templateSubject } from "../../src/fleet/messages/subjects.ts";
import { DispatchingNode } from "../support/fleet/dispatchingNode.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { readProc, testIf, until, useSandbox } from "../support/sandbox.ts";

setDefaultTimeout(120_000);
const sandbox = useSandbox();
const live = testIf(lacksNatsServer());

/** Starts a hub, and a node with the template hls and one slot. */
async function startNode(): Promise<{ hub: FleetHub; node: DispatchingNode }> {
  const hub = await FleetHub.start(sandbox());
  const { publicKey } = new FleetDirectory(hub.directory).signingKey("jobs");
  const node = new DispatchingNode(sandbox(), "edge-1");
  await node.join((await hub.invite("edge-1", "live")).text, "live", publicKey, 1);
  return { hub, node };
}

function untilWaiting(hub: FleetHub, job: string, reason: string | null): Promise<void> {
  return until(`${job} waits because ${reason}`, async () => {
    const [found] = JSON.parse(await hub.must("queue", job, "--json"));
    return found?.waiting === reason;
  });
}

live("a job that no node can take says why, at its submission and in the queue", async () => {
  const { hub, node } = await startNode();
  const submit = (template: string, id: string) => hub.run("submit", template, "--pool", "live", "--id", id);
  // Nothing is known of the node.
  expect(await submit("hsl", "typo-1")).toMatchObject({ code: 0, stderr: "" });
  await untilWaiting(hub, "typo-1", "no node can claim it: never reported (edge-1)");
  node.start();
  await untilWaiting(hub, "typo-1", "no node can claim it: no template hsl (edge-1)");
  const typo = await submit("hsl", "typo-2");
  expect([typo.code, typo.stdout]).toEqual([0, "typo-2: submitted\n"]);
  expect(typo.stderr).toContain("no node of the pool live has a template hsl; theirs are hls");
  expect(typo.stderr).toContain("ffrtmp fleet cancel JOB");

  expect(await submit("hls", "first")).toMatchObject({ code: 0, stderr: "" });
  await until("the node has it", () => node.mine.includes("first.1"));
  await submit("hls", "second");
  await untilWaiting(hub, "second", "no node can claim it: no free slot (edge-1)");
  expect(await hub.must("queue", "second")).toContain("no node can claim it: no free slot (edge-1)");
  await hub.must("cordon", "edge-1", "--reason", "new disk");
  await untilWaiting(hub, "second", "no node can claim it: cordoned: new disk (edge-1)");

  // With templates of the operator, the hub knows which there are.
  await hub.must("uncordon", "edge-1");
  node.accept({ slots: 9, signed_templates: true });
  const file = sandbox().path("hsl.yaml");
  writeFileSync(file, 'command: ["true"]\n');
  await hub.must("template", "push", file);
  await until("all are claimed", () => node.mine.length === 4);
  await until("its report is at the hub", async () =>
    (await submit("lhs", "typo-3")).stderr.includes("theirs are hls, hsl"),
  );
  await node.stop();
});

/** Returns how many filters of system calls a process is under; they stay when it executes itself. */
function filtersOf(pid: number): number {
  return Number(/^Seccomp_filters:\s*(\d+)$/m.exec(readProc(pid, "status"))?.[1]);
}

live("an agent that begins again after changes of root's files does not pile up filters", async () => {
  const { node } = await startNode();
  node.start();
  const starts = () => node.log.split("connected to").length - 1;
  await until("the agent is connected", () => starts() === 1);
  expect(filtersOf(node.agentPid)).toBeGreaterThan(0);
  const before = filtersOf(node.agentPid);
  for (const again of [1, 2]) {
    node.accept({ slots: 1 + again });
    await until("it has begun again", () => starts() === 1 + again);
  }
  expect(filtersOf(node.agentPid)).toBe(before);
  await node.stop();
});

live("closed queues are said in words, by the agent and by the operator's commands", async () => {
  const { hub, node } = await startNode();
  node.start();
  await until("the node is connected", () => node.log.includes("connected to"));
  await hub.must("submit", "hls", "--pool", "live", "--id", "first", "--not-before", "+1s");
  await hub.stop();
  await hub.must("restore", "--begin");
  await hub.up();
  await until("the agent says so", () =>
    node.log.includes("the hub keeps the queue of the pool live closed to this node"),
  );
  expect(node.log).toContain("ffrtmp fleet restore");
  expect(node.log).not.toContain("Permissions Violation");
  await untilWaiting(hub, "first", "the queues are closed until ffrtmp fleet restore --finish");
  await until("all nodes are back", async () => (await hub.run("restore")).code === 0);
  await hub.must("restore", "--finish");
  await until("the job is claimed", () => node.mine.includes("first.1"));
  await node.stop();
});

live("a template replaces no other one unseen", async () => {
  const hub = await FleetHub.start(sandbox());
  const file = sandbox().path("hls.yaml");
  const push = (content: string, operator: string, ...flags: string[]) => {
    writeFileSync(file, `command: [${JSON.stringify(content)}]\n`);
    const args = ["fleet", "template", "push", file, "--dir", hub.directory, ...flags];
    return sandbox().run(args, { env: { SUDO_USER: operator } });
  };
  expect(await push("one", "ann")).toMatchObject({ code: 0, stderr: "" });
  expect(await push("two", "ann")).toMatchObject({
    code: 0,
    stderr: expect.stringContaining("it replaces that of"),
  });
  const other = await push("three", "bob");
  expect([other.code, other.stderr]).toEqual([
    2,
    expect.stringContaining("the template hls at the hub is that of ann@"),
  ]);
  const serial = /--replace (\d+)/.exec(other.stderr)?.[1] ?? "";
  const shown = await hub.run("template", "show", "hls");
  expect([shown.stdout, shown.stderr]).toEqual([
    'command: ["two"]\n',
    expect.stringContaining(`serial ${serial}, by ann@`),
  ]);
  expect((await push("three", "bob", "--replace", "7")).code).toBe(2);
  expect(await push("three", "bob", "--replace", serial)).toMatchObject({ code: 0 });
  // What was seen is not the last one any more.
  expect((await push("four", "ann", "--replace", serial)).code).toBe(2);
  expect((await hub.run("template", "show", "none")).stderr).toContain("the hub has no template none");

  const admin = await hub.admin();
  const key = createSigningKey();
  const all = await Promise.allSettled(
    Array.from({ length: 8 }, (_, index) =>
      publishTemplate(admin, key, { name: "thumb", yaml: `command: ["${index}"]\n`, by: "ann" }, undefined),
    ),
  );
  const replaced = all.flatMap((each) => (each.status === "fulfilled" ? [each.value?.serial ?? 0] : []));
  const refused = all.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : []));
  // Each one that was stored has replaced another one.
  expect(replaced.length).toBeGreaterThan(0);
  expect(new Set(replaced).size).toBe(replaced.length);
  const others = refused.filter((text) => !text.includes("was pushed meanwhile, and is not replaced"));
  expect([refused.length, others]).toEqual([all.length - replaced.length, []]);
  expect((await readStoredTemplate(admin, "thumb")).template?.body.name).toBe("thumb");
  await admin.close();
});

live("a template counts from the serial before, and not from one that no clock gives", async () => {
  const hub = await FleetHub.start(sandbox());
  const admin = await hub.admin();
  const content = { name: "hls", yaml: 'command: ["true"]\n', by: "ann" };
  const hour = Date.now() + 3_600_000;
  const serialAfter = async (serial: number) => {
    const body = { v: 1, ...content, serial, at: new Date().toISOString() };
    const { seq } = await readStoredTemplate(admin, "hls");
    await storeDocument(
      admin,
      templateSubject("hls"),
      signDocument("template", body, createSigningKey()),
      seq,
    );
    await publishTemplate(admin, createSigningKey(), content, undefined);
    return (await readStoredTemplate(admin, "hls")).template?.body.serial;
  };
  expect(await serialAfter(hour)).toBe(hour + 1);
  for (const forged of [Number.MAX_SAFE_INTEGER, 9e15]) expect(await serialAfter(forged)).toBeLessThan(hour);
  await admin.close();
});
