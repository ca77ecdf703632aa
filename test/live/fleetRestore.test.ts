import { expect } from "bun:test";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { FleetDirectory } from "../../src/fleet/hub/fleetDirectory.ts";
import { DispatchingNode } from "../support/fleet/dispatchingNode.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const live = testIf(lacksNatsServer());
const JOBS = Array.from({ length: 6 }, (_, index) => `movie-${index}`);

interface Restored {
  hub: FleetHub;
  /** Two nodes that have claimed all jobs, and one that was away. Their agents are stopped. */
  nodes: [DispatchingNode, DispatchingNode, DispatchingNode];
}

/** Has six jobs claimed after a backup of the hub, and restores that. The hub is stopped. */
async function restoreOlder(): Promise<Restored> {
  const hub = new FleetHub(sandbox());
  await hub.must("init", `127.0.0.1:${hub.port}`);
  const { publicKey } = new FleetDirectory(hub.directory).signingKey("jobs");
  const first = await hub.up();
  const nodes = ["edge-1", "edge-2", "edge-3"].map((name) => new DispatchingNode(sandbox(), name));
  for (const node of nodes)
    await node.join(
      (await hub.invite(node.name, "live")).text,
      "live",
      publicKey,
      node.name === "edge-3" ? 20 : 3,
    );
  for (const id of JOBS) await hub.must("submit", "hls", "--pool", "live", "--id", id);
  const data = join(hub.directory, "hub/data");
  const backup = sandbox().path("backup");
  await stop(first.process);
  cpSync(data, backup, { recursive: true });

  const second = await hub.up();
  const [one, two, three] = nodes as Restored["nodes"];
  for (const node of [one, two]) node.start();
  await until("all jobs are claimed", () => one.mine.length + two.mine.length === JOBS.length);
  for (const node of [one, two]) await node.stop();
  await stop(second.process);
  rmSync(data, { recursive: true });
  cpSync(backup, data, { recursive: true });
  return { hub, nodes: [one, two, three] };
}

async function stop(process: Bun.Subprocess): Promise<void> {
  process.kill("SIGTERM");
  await process.exited;
}

/** Returns the jobs that two nodes own. */
function twice(nodes: Restored["nodes"]): string[] {
  const all = nodes.flatMap(({ mine }) => mine);
  return all.filter((id, index) => all.indexOf(id) !== index);
}

live("after a hub was restored from an older backup, no job is given to a second node", async () => {
  const { hub, nodes } = await restoreOlder();
  const [one, two, three] = nodes;
  expect((await hub.run("restore")).stderr).toContain("no restore is under way");
  expect(await hub.must("restore", "--begin")).toContain("the queues of all pools are closed");
  await hub.up();
  three.start();
  await until("the node without claims is back", async () =>
    /^edge-3 +yes/m.test((await hub.run("restore")).stdout),
  );
  const early = await hub.run("restore", "--finish");
  expect([early.code, early.stderr]).toEqual([
    1,
    expect.stringContaining("edge-1, edge-2 have not sent their claims again"),
  ]);
  expect(early.stdout).toMatch(/^edge-1 +no .* it has not reported since|^edge-1 +no .* none has come/m);
  for (const node of [one, two]) node.start();
  await until("all nodes are back", async () => (await hub.run("restore")).code === 0);
  expect(three.mine).toEqual([]);
  const back = JSON.parse(await hub.must("restore", "--json"));
  expect(back.map(({ is_back: isBack }: { is_back: boolean }) => isBack)).toEqual([true, true, true]);
  expect(one.log + two.log).toContain("it was restored from a backup");

  await hub.must("restore", "--finish");
  await hub.must("submit", "hls", "--pool", "live", "--id", "later");
  // The queue gives what is older first.
  await until("the node that was away gets the new job", () => three.mine.includes("later.1"));
  expect([three.mine, twice(nodes)]).toEqual([["later.1"], []]);
});

live("without that, the same jobs are given to a second node: the test can fail", async () => {
  const { hub, nodes } = await restoreOlder();
  await hub.up();
  nodes[2].start();
  await until("the jobs are claimed again", () => nodes[2].mine.length === JOBS.length);
  expect(twice(nodes).sort()).toEqual(JOBS.map((id) => `${id}.1`));
});

live("a restore does not begin while a hub runs", async () => {
  const hub = await FleetHub.start(sandbox());
  const { code, stderr } = await hub.run("restore", "--begin");
  expect([code, stderr]).toEqual([2, expect.stringContaining("the hub runs")]);
});
