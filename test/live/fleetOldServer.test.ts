import { expect, setDefaultTimeout } from "bun:test";
import { writeFileSync } from "node:fs";
import { jetstreamManager, RetentionPolicy } from "@nats-io/jetstream";
import { FleetDirectory } from "../../src/fleet/hub/fleetDirectory.ts";
import { parseInvite } from "../../src/fleet/hub/invite.ts";
import { ensurePools } from "../../src/fleet/hub/pools.ts";
import { CLAIMS, JOBS, jobSubject } from "../../src/fleet/messages/subjects.ts";
import { ClaimingNode } from "../support/fleet/claimingNode.ts";
import { DispatchingNode } from "../support/fleet/dispatchingNode.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import {
  lacksNatsServer,
  lacksOldNatsServer,
  NATS_SERVER,
  OLD_NATS_SERVER,
} from "../support/fleet/natsProgram.ts";
import { signedOffer } from "../support/fleet/offers.ts";
import { PolicyNode } from "../support/fleet/policyNode.ts";
import { testIf, until, useSandbox } from "../support/sandbox.ts";

setDefaultTimeout(120_000);
const sandbox = useSandbox();
const live = testIf(lacksOldNatsServer() ?? lacksNatsServer());

const LACKS = "handing out jobs needs 2.11";

async function resultsAt(hub: FleetHub): Promise<string[]> {
  const { code, stdout } = await hub.run("results", "--json");
  return code === 0 ? JSON.parse(stdout).map(({ job_id: id }: { job_id: string }) => id) : [];
}

async function problemOf(hub: FleetHub, node: string): Promise<string> {
  const nodes: { node: string; problem: string | null }[] = JSON.parse(await hub.must("ps", "--json"));
  return nodes.find((each) => each.node === node)?.problem ?? "";
}

/** Adds a node to the pool, of which `invite` says that the hub hands out no jobs. Returns the line for `join`. */
async function inviteToPool(hub: FleetHub, node: string): Promise<string> {
  const { code, stdout, stderr } = await hub.run("invite", node, "--pool", "live");
  expect([code, stderr]).toEqual([1, expect.stringContaining(LACKS)]);
  return stdout.trim();
}

/** Makes the streams of jobs as a release that does not look at the version would, with one offer. */
async function makeQueue(hub: FleetHub): Promise<void> {
  const admin = await hub.admin();
  const manager = await jetstreamManager(admin);
  const key = new FleetDirectory(hub.directory).signingKey("jobs");
  await manager.streams.add({
    name: JOBS,
    subjects: ["ffrtmp.job.*", "ffrtmp.retry.*.*"],
    retention: RetentionPolicy.Workqueue,
  });
  await manager.streams.add({
    name: CLAIMS,
    subjects: ["ffrtmp.claim.*.*.*", "ffrtmp.loss.*.*.*", "ffrtmp.submitted.*"],
    allow_direct: true,
  });
  await ensurePools(manager, ["live"]);
  const offer = signedOffer(key, "job-1", { template: "hls", params: {} });
  await admin.request(jobSubject("live"), JSON.stringify(offer), { timeout: 5000 });
  await admin.close();
}

live("a hub with nats-server 2.10 has nodes, results and policies, and hands out no jobs", async () => {
  const hub = await FleetHub.start(sandbox(), OLD_NATS_SERVER);
  const { publicKey } = new FleetDirectory(hub.directory).signingKey("jobs");
  expect((await hub.run("setup")).stderr).toContain(LACKS);

  const governed = await PolicyNode.join(sandbox(), hub, "edge-1");
  sandbox().adoptState(governed.state);
  await governed.startWatch();
  await governed.startAgent();
  const file = sandbox().path("fleet-policy.yaml");
  const push = (quota: number) => {
    writeFileSync(file, `target_commands: [none-${sandbox().tag}]\ndefault_limits: {cpu_quota: ${quota}}\n`);
    return hub.must("policy", "push", file, "--wait", "1m");
  };
  expect(await push(50)).toContain("has taken serial 1: 1 applied");
  expect(await push(60)).toContain("has taken serial 2: 1 applied");
  expect(await hub.must("policy", "rollback", "--wait", "1m")).toContain("that of serial 1");
  await governed.untilPolicy({ serial: 3, state: "applied" });
  await hub.must("cordon", "edge-1", "--reason", "disk");
  await until("ps shows the cordon", async () => (await hub.must("ps")).includes("disk"));

  const node = new DispatchingNode(sandbox(), "edge-2");
  await node.join(await inviteToPool(hub, "edge-2"), "live", publicKey, 4);
  await makeQueue(hub);
  node.start();
  await node.run("result-1");
  await until("the result is at the hub", async () => (await resultsAt(hub)).includes("result-1"));
  await until("ps says why it takes no jobs", async () => (await problemOf(hub, "edge-2")).includes(LACKS));
  expect(node.log).toContain(LACKS);
  for (const command of [
    ["submit", "hls", "--pool", "live", "--id", "job-2"],
    ["queue"],
    ["cancel", "job-1"],
  ]) {
    const { code, stderr } = await hub.run(...command);
    expect([code, stderr]).toEqual([2, expect.stringContaining(LACKS)]);
    expect(stderr).toContain("install nats-server 2.11 or later");
  }
  expect(node.mine).toEqual([]);

  // The program is replaced: what is stored stays, and jobs are handed out.
  await hub.stop();
  await hub.up(NATS_SERVER);
  await until("the offer of before is claimed", () => node.mine.includes("job-1.1"));
  await hub.must("submit", "hls", "--pool", "live", "--id", "job-2");
  await until("a new job is claimed", () => node.mine.includes("job-2.1"));
  expect(await resultsAt(hub)).toEqual(["result-1", expect.any(String)]);
  expect(await hub.must("policy", "status")).toMatch(/^stable +3 /m);
  await node.stop();
  await governed.endAgent("SIGTERM");
  await governed.endWatch();
});

live("nats-server 2.10 lets two nodes have one claim, which is why it hands out no jobs", async () => {
  const hub = await FleetHub.start(sandbox(), OLD_NATS_SERVER);
  const key = new FleetDirectory(hub.directory).signingKey("jobs");
  await makeQueue(hub);
  const offer = signedOffer(key, "job-1");
  const claims: boolean[] = [];
  for (const name of ["edge-1", "edge-2"]) {
    const node = await ClaimingNode.connect(parseInvite(await inviteToPool(hub, name)));
    claims.push(await node.claim({ offer, id: "job-1" }));
    await node.close();
  }
  expect(claims).toEqual([true, true]);
});
