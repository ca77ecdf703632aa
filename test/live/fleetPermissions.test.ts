import { afterAll, beforeAll, describe, expect } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { DirectMsgHeaders, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers, type NatsConnection, PermissionViolationError } from "@nats-io/nats-core";
import type { Invite } from "../../src/fleet/hub/invite.ts";
import { ADMIN_INBOX } from "../../src/fleet/hub/permissions.ts";
import { makeAuthority } from "../../src/fleet/keys/authority.ts";
import { createNKey } from "../../src/fleet/keys/nkey.ts";
import { connectAsNode, FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { Sandbox, testIf, until } from "../support/sandbox.ts";

/** What the node `edge-1` of the pool `live` may and may not do, besides a node `edge-2` of the pools `live` and `batch`. */
const PERMISSIONS: [verb: "publish" | "subscribe", subject: string, permission: "may" | "may not"][] = [
  // Its own state and results.
  ["publish", "ffrtmp.node.edge-1", "may"],
  ["publish", "ffrtmp.result.edge-1", "may"],
  ["publish", "$JS.API.DIRECT.GET.NODES.ffrtmp.node.edge-1", "may"],
  ["publish", "$JS.API.DIRECT.GET.RESULTS.ffrtmp.result.edge-1", "may"],
  ["subscribe", "_INBOX.edge-1.>", "may"],
  ["subscribe", "_INBOX.edge-1.abc.1", "may"],
  // Signed documents.
  ["publish", "$JS.API.DIRECT.GET.KV_FLEET.$KV.FLEET.policy.canary", "may"],
  ["publish", "$JS.API.DIRECT.GET.KV_FLEET.$KV.FLEET.template.hls", "may"],
  ["publish", "$JS.API.DIRECT.GET.KV_FLEET.$KV.FLEET.node.edge-1", "may"],
  ["subscribe", "ffrtmp.stored.policy.*", "may"],
  ["subscribe", "ffrtmp.stored.policy.canary", "may"],
  ["subscribe", "ffrtmp.stored.node.edge-1", "may"],
  // Another node.
  ["publish", "ffrtmp.node.edge-2", "may not"],
  ["publish", "ffrtmp.result.edge-2", "may not"],
  ["publish", "$JS.API.DIRECT.GET.NODES.ffrtmp.node.edge-2", "may not"],
  ["publish", "$JS.API.DIRECT.GET.RESULTS.ffrtmp.result.edge-2", "may not"],
  ["publish", "$JS.API.DIRECT.GET.KV_FLEET.$KV.FLEET.node.edge-2", "may not"],
  ["publish", "_INBOX.edge-2.abc.1", "may not"],
  ["subscribe", "_INBOX.edge-2.>", "may not"],
  ["subscribe", "ffrtmp.stored.node.edge-2", "may not"],
  ["subscribe", "ffrtmp.stored.>", "may not"],
  ["publish", "ffrtmp.stored.policy.canary", "may not"],
  ["subscribe", "ffrtmp.node.edge-2", "may not"],
  ["subscribe", "ffrtmp.result.*", "may not"],
  // The operator.
  ["subscribe", "_INBOX._admin.>", "may not"],
  ["publish", "_INBOX._admin.abc.1", "may not"],
  ["publish", "$KV.FLEET.policy.canary", "may not"],
  ["publish", "$KV.FLEET.template.hls", "may not"],
  ["publish", "$KV.FLEET.node.edge-1", "may not"],
  // Names that begin like its own.
  ["publish", "ffrtmp.node.edge-1.x", "may not"],
  ["publish", "ffrtmp.node.edge-10", "may not"],
  ["publish", "ffrtmp.node.EDGE-1", "may not"],
  ["subscribe", "_INBOX.edge-10.>", "may not"],
  ["subscribe", "_INBOX.>", "may not"],
  ["subscribe", "$KV.FLEET.>", "may not"],
  ["subscribe", "ffrtmp.>", "may not"],
  ["subscribe", ">", "may not"],
  // The streams as a whole.
  ["publish", "$JS.API.DIRECT.GET.RESULTS", "may not"],
  ["publish", "$JS.API.STREAM.MSG.GET.RESULTS", "may not"],
  ["publish", "$JS.API.STREAM.MSG.DELETE.RESULTS", "may not"],
  ["publish", "$JS.API.STREAM.DELETE.RESULTS", "may not"],
  ["publish", "$JS.API.STREAM.PURGE.RESULTS", "may not"],
  ["publish", "$JS.API.STREAM.UPDATE.RESULTS", "may not"],
  ["publish", "$JS.API.STREAM.CREATE.OWN", "may not"],
  ["publish", "$JS.API.STREAM.INFO.RESULTS", "may not"],
  ["publish", "$JS.API.STREAM.NAMES", "may not"],
  ["publish", "$JS.API.STREAM.SNAPSHOT.RESULTS", "may not"],
  ["publish", "$JS.API.CONSUMER.CREATE.RESULTS", "may not"],
  ["publish", "$JS.API.INFO", "may not"],
  ["publish", "$JS.API.SERVER.REMOVE", "may not"],
  // The queue of its pool, and its own claims.
  ["publish", "$JS.API.CONSUMER.MSG.NEXT.JOBS.live", "may"],
  ["publish", "$JS.ACK.JOBS.live.1.1.1.1764300000000000000.0", "may"],
  ["publish", "ffrtmp.retry.live.edge-1", "may"],
  ["publish", "ffrtmp.claim.job-1.1.edge-1", "may"],
  ["publish", "ffrtmp.loss.job-1.1.edge-1", "may"],
  ["publish", "$JS.API.DIRECT.GET.CLAIMS.ffrtmp.claim.job-1.1.edge-1", "may"],
  ["publish", "$JS.API.DIRECT.GET.CLAIMS.ffrtmp.loss.job-1.1.edge-1", "may"],
  // The claims of another node, and those of all.
  ["publish", "ffrtmp.claim.job-1.1.edge-2", "may not"],
  ["publish", "ffrtmp.loss.job-1.1.edge-2", "may not"],
  ["publish", "ffrtmp.claim.job-1.1._operator", "may not"],
  ["publish", "ffrtmp.loss.job-1.1._operator", "may not"],
  ["publish", "$JS.API.DIRECT.GET.CLAIMS.ffrtmp.claim.job-1.1.edge-2", "may not"],
  ["publish", "$JS.API.DIRECT.GET.CLAIMS.ffrtmp.loss.job-1.1.edge-2", "may not"],
  ["publish", "$JS.API.DIRECT.GET.CLAIMS", "may not"],
  ["subscribe", "ffrtmp.claim.*.*.*", "may not"],
  ["subscribe", "ffrtmp.claim.job-1.1.edge-2", "may not"],
  ["subscribe", "ffrtmp.loss.*.*.*", "may not"],
  // Another pool, and jobs without a signature.
  ["publish", "$JS.API.CONSUMER.MSG.NEXT.JOBS.batch", "may not"],
  ["publish", "$JS.API.CONSUMER.INFO.JOBS.batch", "may not"],
  ["publish", "$JS.ACK.JOBS.batch.1.1.1.1764300000000000000.0", "may not"],
  ["publish", "ffrtmp.retry.batch.edge-1", "may not"],
  ["publish", "ffrtmp.retry.live.edge-2", "may not"],
  ["publish", "ffrtmp.job.live", "may not"],
  ["publish", "ffrtmp.job.batch", "may not"],
  ["subscribe", "ffrtmp.job.live", "may not"],
  ["subscribe", "ffrtmp.retry.live.*", "may not"],
  ["publish", "$JS.API.DIRECT.GET.JOBS", "may not"],
  ["publish", "$JS.API.DIRECT.GET.JOBS.ffrtmp.job.live", "may not"],
  // A pool and a job that have its name.
  ["publish", "$JS.API.DIRECT.GET.JOBS.ffrtmp.job.edge-1", "may not"],
  ["publish", "$JS.API.DIRECT.GET.CLAIMS.ffrtmp.submitted.edge-1", "may not"],
  // The streams and consumers of dispatch.
  ["publish", "$JS.API.STREAM.MSG.DELETE.CLAIMS", "may not"],
  ["publish", "$JS.API.STREAM.PURGE.CLAIMS", "may not"],
  ["publish", "$JS.API.STREAM.DELETE.CLAIMS", "may not"],
  ["publish", "$JS.API.STREAM.UPDATE.CLAIMS", "may not"],
  ["publish", "$JS.API.STREAM.MSG.GET.CLAIMS", "may not"],
  ["publish", "$JS.API.STREAM.RESTORE.CLAIMS", "may not"],
  ["publish", "$JS.API.STREAM.MSG.DELETE.JOBS", "may not"],
  ["publish", "$JS.API.STREAM.PURGE.JOBS", "may not"],
  ["publish", "$JS.API.STREAM.MSG.GET.JOBS", "may not"],
  ["publish", "$JS.API.CONSUMER.CREATE.CLAIMS", "may not"],
  ["publish", "$JS.API.CONSUMER.CREATE.JOBS.own", "may not"],
  ["publish", "$JS.API.CONSUMER.DURABLE.CREATE.JOBS.live", "may not"],
  ["publish", "$JS.API.CONSUMER.DELETE.JOBS.live", "may not"],
  ["publish", "$JS.API.CONSUMER.PAUSE.JOBS.live", "may not"],
  ["publish", "$JS.API.CONSUMER.RESET.JOBS.live", "may not"],
  ["publish", "$JS.API.CONSUMER.LIST.JOBS", "may not"],
  ["publish", "$JS.API.CONSUMER.INFO.JOBS.live", "may not"],
  // The server.
  ["publish", "$SYS.REQ.SERVER.PING", "may not"],
  ["subscribe", "$SYS.>", "may not"],
  ["subscribe", "$JS.EVENT.ADVISORY.>", "may not"],
];

const lacks = lacksNatsServer();
let sandbox: Sandbox;
let hub: FleetHub;
let invite: Invite;

beforeAll(async () => {
  if (lacks !== undefined) return;
  sandbox = new Sandbox();
  hub = await FleetHub.start(sandbox);
  invite = await hub.invite("edge-1", "live");
  await hub.invite("edge-2", "live", "batch");
}, 60_000);
afterAll(async () => {
  await sandbox?.close();
});

/** Calls `use` with a connection of a node, and returns the subjects that the server has refused. */
async function refusedIn(
  use: (node: NatsConnection) => void | Promise<void>,
  as: Invite = invite,
): Promise<string[]> {
  const node = await connectAsNode(as);
  const refused: string[] = [];
  const listening = (async () => {
    for await (const status of node.status())
      if (status.type === "error" && status.error instanceof PermissionViolationError)
        refused.push(`${status.error.operation} ${status.error.subject}`);
  })();
  await use(node);
  // The server answers in order: its refusals come before this answer.
  await node.flush();
  await node.close();
  await listening;
  return refused;
}

describe("what a node may do at the hub", () => {
  testIf(lacks).each(PERMISSIONS)("%s to %s: %s", async (verb, subject, permission) => {
    const refused = await refusedIn((node) => {
      if (verb === "publish") node.publish(subject, "{}", { reply: "_INBOX.edge-1.test" });
      else node.subscribe(subject, { callback() {} });
    });
    const operation = verb === "publish" ? verb : "subscription";
    expect(refused).toEqual(permission === "may" ? [] : [`${operation} ${subject}`]);
  });
});

testIf(lacks)("no answer goes where a node may not publish itself", async () => {
  const node = await connectAsNode(invite);
  const admin = await hub.admin();
  const manager = await jetstreamManager(admin);
  const others = {
    NODES: "ffrtmp.node.edge-2",
    RESULTS: "ffrtmp.result.edge-2",
    CLAIMS: "ffrtmp.claim.job-7.1.edge-2",
    KV_FLEET: "$KV.FLEET.policy.canary",
    JOBS: "ffrtmp.job.batch",
  };
  const orders = ["STREAM.DELETE.NODES", "STREAM.PURGE.NODES", "CONSUMER.DELETE.JOBS.batch"];
  const asked = [
    ...Object.values(others),
    ...orders.map((order) => `$JS.API.${order}`),
    "$JS.API.CONSUMER.CREATE.RESULTS",
    `${ADMIN_INBOX}.x`,
  ];
  const heard: string[] = [];
  admin.subscribe(`${ADMIN_INBOX}.x`, { callback: (_, { subject }) => void heard.push(subject) });
  await admin.flush();
  // The content of a request that the server would make for the node.
  const spy = {
    stream_name: "RESULTS",
    config: { deliver_subject: "_INBOX.edge-1.spy", ack_policy: "none" },
  };
  node.publish("ffrtmp.node.edge-1", JSON.stringify(spy));
  for (const reply of asked) {
    // An answer with that content, a status without content, the confirmation of a message, and jobs of the pool.
    node.publish("$JS.API.DIRECT.GET.NODES.ffrtmp.node.edge-1", "", { reply });
    node.publish("$JS.API.DIRECT.GET.CLAIMS.ffrtmp.claim.none.1.edge-1", "", { reply });
    node.publish("ffrtmp.result.edge-1", "{}", { reply });
    node.publish("$JS.API.CONSUMER.MSG.NEXT.JOBS.live", '{"batch":1,"no_wait":true}', { reply });
  }
  await node.flush();
  // The server answers in order.
  await node.request("$JS.API.DIRECT.GET.NODES.ffrtmp.node.edge-1", "");
  for (const [stream, subject] of Object.entries(others))
    expect([subject, await manager.streams.getMessage(stream, { last_by_subj: subject })]).toEqual([
      subject,
      null,
    ]);
  expect((await manager.streams.info("RESULTS")).state.consumer_count).toBe(0);
  expect((await manager.consumers.info("JOBS", "batch")).name).toBe("batch");
  expect(heard).toEqual([]);
  await Promise.all([node.close(), admin.close()]);
});

testIf(lacks)("no answer asks for what the node may not read, also where a job is the answer", async () => {
  const node = await connectAsNode(invite);
  const admin = await hub.admin();
  // What has the node's own name, and is not its own.
  await jetstream(admin).publish("ffrtmp.job.edge-1", "of another pool");
  await jetstream(admin).publish("ffrtmp.submitted.edge-1", "of another job");
  const others = ["JOBS.ffrtmp.job.edge-1", "CLAIMS.ffrtmp.submitted.edge-1"];
  const heard: string[] = [];
  node.subscribe("_INBOX.edge-1.>", { callback: (_, message) => void heard.push(message.string()) });
  for (const [index, other] of others.entries()) {
    const reply = `$JS.API.DIRECT.GET.${other}`;
    // The delivery of a job has a subject for its own answer, and the others have none.
    await jetstream(admin).publish("ffrtmp.job.live", `job ${index}`);
    node.publish("$JS.API.CONSUMER.MSG.NEXT.JOBS.live", '{"batch":1,"no_wait":true}', { reply });
    node.publish("$JS.API.DIRECT.GET.NODES.ffrtmp.node.edge-1", "", { reply });
    node.publish("ffrtmp.result.edge-1", "{}", { reply });
  }
  const inbox = "_INBOX.edge-1.last";
  node.publish("ffrtmp.result.edge-1", "{}", { reply: inbox });
  await until("the last answer has arrived", () => heard.length > 0);
  expect(heard).toEqual([expect.stringContaining('"stream":"RESULTS"')]);
  // An acknowledged one would be gone.
  const filter = { subjects_filter: "ffrtmp.job.live" };
  const { state } = await (await jetstreamManager(admin)).streams.info("JOBS", filter);
  expect(state.subjects).toEqual({ "ffrtmp.job.live": others.length });
  await Promise.all([node.close(), admin.close()]);
});

testIf(lacks)("a node without pools reads documents, and neither templates nor claims", async () => {
  const reader = await hub.invite("edge-3");
  const get = "$JS.API.DIRECT.GET";
  const own = [
    `${get}.NODES.ffrtmp.node.edge-3`,
    `${get}.RESULTS.ffrtmp.result.edge-3`,
    `${get}.KV_FLEET.$KV.FLEET.policy.canary`,
    `${get}.KV_FLEET.$KV.FLEET.node.edge-3`,
  ];
  const others = [
    `${get}.KV_FLEET.$KV.FLEET.template.hls`,
    `${get}.CLAIMS.ffrtmp.claim.job-1.1.edge-3`,
    "ffrtmp.claim.job-1.1.edge-3",
  ];
  const refused = await refusedIn(async (node) => {
    for (const subject of own) expect((await node.request(subject, "")).headers?.code).toBe(404);
    for (const subject of others) node.publish(subject, "{}", { reply: "_INBOX.edge-3.test" });
  }, reader);
  expect(refused).toEqual(others.map((subject) => `publish ${subject}`));
});

testIf(lacks)("no name gives a node the inbox of the operator", async () => {
  const inbox = `${ADMIN_INBOX}.>`;
  const refused = await refusedIn(
    (node) => void node.subscribe(inbox, { callback() {} }),
    await hub.invite("admin"),
  );
  expect(refused).toEqual([`subscription ${inbox}`]);
});

testIf(lacks)(
  "a node reads back the last result that the hub has of it, and an older chain is refused",
  async () => {
    const node = await connectAsNode(invite);
    const publish = (text: string, lastSubjectSequence: number) =>
      jetstream(node, { checkAPI: false }).publish("ffrtmp.result.edge-1", text, {
        expect: { lastSubjectSequence },
      });
    const last = await node.request("$JS.API.DIRECT.GET.RESULTS.ffrtmp.result.edge-1", "");
    const sequence = Number(last.headers?.get(DirectMsgHeaders.Sequence) ?? 0);
    const { seq } = await publish('{"to":1}', sequence);
    const read = await node.request("$JS.API.DIRECT.GET.RESULTS.ffrtmp.result.edge-1", "");
    expect([read.string(), read.headers?.get(DirectMsgHeaders.Sequence)]).toEqual(['{"to":1}', String(seq)]);
    expect(publish('{"to":2}', sequence)).rejects.toMatchObject({ code: 10071 });
    await node.close();
  },
);

testIf(lacks)("a node cannot remove what it has sent, and neither can the operator", async () => {
  const node = await connectAsNode(invite);
  const marks = headers();
  marks.set("Nats-Rollup", "all");
  const rollup = jetstream(node, { checkAPI: false }).publish("ffrtmp.result.edge-1", "{}", {
    headers: marks,
  });
  await expect(rollup).rejects.toThrow("rollup not permitted");
  const { seq } = await jetstream(node, { checkAPI: false }).publish("ffrtmp.result.edge-1", "{}");
  await node.close();
  const admin = await hub.admin();
  const manager = await jetstreamManager(admin);
  await expect(manager.streams.deleteMessage("RESULTS", seq)).rejects.toThrow("message delete not permitted");
  await admin.close();
});

testIf(lacks)("a message beyond 256 KiB and more than 20 subscriptions are refused", async () => {
  const node = await connectAsNode(invite);
  expect(node.info?.max_payload).toBe(256 * 1024);
  expect(() => node.publish("ffrtmp.node.edge-1", "x".repeat(256 * 1024 + 1))).toThrow("max_payload");
  const faults: string[] = [];
  const listening = (async () => {
    for await (const status of node.status()) if (status.type === "error") faults.push(status.error.message);
  })();
  for (let index = 0; index < 21; index++) node.subscribe(`_INBOX.edge-1.${index}`, { callback() {} });
  await node.flush().catch(() => {});
  await node.close();
  await listening;
  expect(faults.join()).toMatch(/maximum subscriptions exceeded/i);
});

testIf(lacks)("only keys of the fleet connect, only to its own hub, and only with encryption", async () => {
  const stranger = { ...invite, seed: createNKey().seed };
  await expect(connectAsNode(stranger)).rejects.toThrow("does not accept this key");
  const unencrypted = { ...invite, hub: [`nats://127.0.0.1:${hub.port}`] };
  await expect(connectAsNode(unencrypted)).rejects.toThrow("cannot connect");
  const { certificate: authority } = makeAuthority();
  await expect(connectAsNode({ ...invite, authority })).rejects.toThrow(
    "another authority made its certificate",
  );
  // The same server, under an address that its certificate does not have.
  const elsewhere = { ...invite, hub: [`tls://127.0.0.2:${hub.port}`] };
  await expect(connectAsNode(elsewhere)).rejects.toThrow("its certificate is for another name");
});

testIf(lacks)(
  "a connection to a server that is stuck gives its socket back, with what waits in it",
  async () => {
    for (const messages of [0, 100]) {
      const node = await connectAsNode(invite);
      await node.flush();
      const open = countSockets();
      process.kill(serverPid(), "SIGSTOP");
      try {
        for (let count = 0; count < messages; count++)
          node.publish("ffrtmp.node.edge-1", new Uint8Array(200_000));
        await node.close();
        await until("the socket is closed", () => countSockets() < open);
      } finally {
        process.kill(serverPid(), "SIGCONT");
      }
    }
  },
);

function serverPid(): number {
  return Number(readFileSync(`${hub.directory}/hub/nats-server.pid`, "utf8"));
}

function countSockets(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      // The one of this listing.
      return false;
    }
  }).length;
}
