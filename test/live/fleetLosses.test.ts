import { afterEach, describe, expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { createSigningKey } from "../../src/fleet/keys/signingKey.ts";
import { ClaimNode } from "../support/fleet/dispatchNodes.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { TestHub } from "../support/fleet/natsServer.ts";
import { POOL, signedOffer } from "../support/fleet/offers.ts";
import { lacksRunner } from "../support/fleet/runnerNode.ts";
import { eventually, isRunning, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const testWithHub = testIf(lacksNatsServer() ?? lacksRunner());
const KEY = createSigningKey();

let open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open) await each.close();
  open = [];
});

async function startHub(): Promise<{ hub: TestHub; node: ClaimNode; starts: () => string[] }> {
  const hub = new TestHub(sandbox(), ["edge-1"], [POOL]);
  const file = sandbox().path("starts");
  const node = new ClaimNode(sandbox(), hub, "edge-1", file, KEY);
  open.push(hub, node.link);
  await hub.start();
  await node.makeLedger();
  return {
    hub,
    node,
    starts: () => (existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : []),
  };
}

/** Returns the workload and the observer of an attempt that runs. */
async function processesOf(node: ClaimNode, id: string): Promise<{ pid: number; observer: number }> {
  return eventually(`${id} runs`, async () => {
    const { code, stdout } = await sandbox().run(["inspect", id, "--json", "--state-path", node.state]);
    const { state, pid, observer_pid: observer } = code === 0 ? JSON.parse(stdout) : { state: "" };
    return state === "running" && observer !== null ? { pid, observer } : undefined;
  });
}

async function end(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  await until(`process ${pid} has ended`, () => !isRunning(pid));
}

const subjectsOf = async (hub: TestHub) => (await hub.messages("CLAIMS")).map(({ subject }) => subject);

describe("an attempt of a fleet's job", () => {
  testWithHub("is offered again when nothing saw its end, and the next attempt has a result", async () => {
    const { hub, node, starts } = await startHub();
    node.start();
    await hub.offer(POOL, signedOffer(KEY, "job-1", { params: { seconds: 600 }, attempts: 2 }));
    const first = await processesOf(node, "job-1.1");
    // Its end is one that was seen, whatever becomes of the agent and the runner.
    for (const which of [0, 1]) await node.kill(which);
    await end(first.observer);
    await end(first.pid);
    node.start();
    // Silence is no loss: the ledger has not said anything yet.
    await until("the agent is there", () => node.log.split("connected to").length === 3);
    expect(await subjectsOf(hub)).toEqual(["ffrtmp.claim.job-1.1.edge-1"]);
    await sandbox().run(["ps", "--state-path", node.state]);
    const second = await processesOf(node, "job-1.2");
    await end(second.pid);
    await until("it is settled", () => node.held === 0);
    expect(starts()).toEqual(["job-1.1", "job-1.2"]);
    expect(await subjectsOf(hub)).toEqual([
      "ffrtmp.claim.job-1.1.edge-1",
      "ffrtmp.loss.job-1.1.edge-1",
      "ffrtmp.claim.job-1.2.edge-1",
    ]);
    const [, loss] = await hub.messages("CLAIMS");
    expect(loss?.content).toMatchObject({ job: "job-1", attempt: 1, reason: "unobserved", by: null });
    // Results take a way of their own to the hub.
    const ends = await eventually("both results are at the hub", async () => {
      const results = (await hub.results("edge-1")).flatMap((message) => message.results);
      const found = results.filter(({ job_id: id }) => String(id).startsWith("job-1."));
      return found.length < 2 ? undefined : found;
    });
    expect(ends.map(({ job_id, signal }) => [job_id, signal])).toEqual([
      ["job-1.1", null],
      ["job-1.2", "SIGKILL"],
    ]);
    expect(node.log).toMatch(/job-1\.1 is lost \(unobserved: .*\); offered again as job-1\.2/);
  });

  testWithHub("is not started again by a hub that was restored from an older backup", async () => {
    const { hub, node, starts } = await startHub();
    await hub.offer(POOL, signedOffer(KEY, "job-1"));
    await hub.kill();
    hub.backUp();
    await hub.start();
    node.start();
    await until("it has ended", () => starts().length === 1 && node.held === 0);
    await hub.kill();
    hub.restore();
    await hub.start();
    await until("the offer is out of the queue again", async () => (await hub.messages("JOBS")).length === 0);
    expect(await subjectsOf(hub)).toEqual(["ffrtmp.claim.job-1.1.edge-1"]);
    expect([starts(), node.held]).toEqual([["job-1.1"], 0]);
    expect(node.log).toContain("the hub lacked 1 of this node's claims, and has them again");
    // It takes what is new.
    await hub.offer(POOL, signedOffer(KEY, "job-2"));
    await until("the next job has ended", () => starts().length === 2 && node.held === 0);
  });
});
