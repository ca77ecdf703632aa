import { afterAll, beforeAll, expect, setDefaultTimeout } from "bun:test";
import { writeFileSync } from "node:fs";
import { cancel } from "../../src/fleet/hub/dispatch/intervene.ts";
import { readClaims } from "../../src/fleet/hub/dispatch/readJobs.ts";
import { createSigningKey } from "../../src/fleet/keys/signingKey.ts";
import { ClaimingNode } from "../support/fleet/claimingNode.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { Sandbox, testIf } from "../support/sandbox.ts";

// Each command starts an executable, and a machine can be busy.
setDefaultTimeout(60_000);
const lacks = lacksNatsServer();
const live = testIf(lacks);
let sandbox: Sandbox;
let hub: FleetHub;
let nodes: [ClaimingNode, ClaimingNode];

/** Each test has a pool of its own. */
const POOLS = ["submit", "many", "states", "lost", "requeue", "cancel", "late"];

beforeAll(async () => {
  if (lacks !== undefined) return;
  sandbox = new Sandbox();
  hub = await FleetHub.start(sandbox);
  const [first, second] = [await hub.invite("edge-1", ...POOLS), await hub.invite("edge-2", ...POOLS)];
  nodes = [await ClaimingNode.connect(first), await ClaimingNode.connect(second)];
}, 60_000);
afterAll(async () => {
  for (const node of nodes ?? []) await node.close();
  await sandbox?.close();
});

interface Listed {
  job: string;
  state: string;
  node: string | null;
  attempts: { attempt: number; state: string; node: string | null; reason: string | null }[];
}

async function listed(...args: string[]): Promise<Listed[]> {
  return JSON.parse(await hub.must("queue", "--json", ...args));
}

/** Returns the state of a job, and those of its attempts. */
async function stateOf(job: string): Promise<string> {
  const [found] = await listed(job);
  return [found?.state, ...(found?.attempts ?? []).map(({ state, node }) => `${state} ${node}`)].join(", ");
}

live("a job is submitted once, however often the call is repeated", async () => {
  const [node] = nodes;
  const submit = (...args: string[]) =>
    hub.run("submit", "hls", "--pool", "submit", "--id", "movie-1", "--param", "input=a.mp4", ...args);
  const first = await submit("--json");
  expect([first.code, JSON.parse(first.stdout)]).toEqual([
    0,
    [{ job: "movie-1", pool: "submit", outcome: "submitted", reason: null, not_after: expect.any(String) }],
  ]);
  expect(await stateOf("movie-1")).toBe("offered, offered null");
  expect((await submit()).stdout).toBe("movie-1: already submitted\n");
  const other = await submit("--param", "input=b.mp4");
  expect([other.code, other.stderr]).toEqual([1, expect.stringContaining("another job at")]);
  expect(other.stderr).toContain("which differs in params");
  const taken = await node.take("submit");
  expect(JSON.parse(taken.offer.job.body)).toMatchObject({
    id: "movie-1",
    template: "hls",
    params: { input: "a.mp4" },
    attempts: 1,
    rerun: "never",
  });
  expect(await node.pull("submit", 300)).toBeUndefined();
  // An id is used for ever: also after its end, it is not offered again.
  await node.end(taken);
  expect((await submit()).stdout).toBe("movie-1: already submitted\n");
  expect(await node.pull("submit", 300)).toBeUndefined();
  expect(await stateOf("movie-1")).toBe("ended, ended edge-1");
});

live("two calls at once submit one job", async () => {
  const [node] = nodes;
  const submit = () => hub.run("submit", "hls", "--pool", "submit", "--id", "movie-2");
  const codes = (await Promise.all([submit(), submit(), submit()])).map(({ code }) => code);
  expect(codes).toEqual([0, 0, 0]);
  // An offer may be there twice; the second one finds the claim.
  const taken = await node.take("submit");
  for (
    let again = await node.pull("submit", 300);
    again !== undefined;
    again = await node.pull("submit", 300)
  ) {
    expect([again.id, await node.claim(again)]).toEqual([taken.id, false]);
    node.acknowledge(again);
  }
});

live("many jobs come from a file, and a faulty line submits none", async () => {
  const file = sandbox.path("jobs.jsonl");
  const lines = Array.from({ length: 40 }, (_, index) =>
    JSON.stringify({ id: `many-${index}`, params: { input: `${index}.mp4` }, labels: { n: String(index) } }),
  );
  const submit = () => hub.run("submit", "hls", "--pool", "many", "--from", file, "--label", "batch=7");
  for (const [line, reason] of [
    ["{", "line 41: expected a JSON object"],
    ['{"id": "a b"}', "line 41: id: expected 1 to 63 letters"],
    ['{"id": "many-3"}', "the id many-3 is in it twice"],
    ['{"expires": "soon"}', 'line 41: expires: "soon" is not a time'],
    ['{"expires": "9000d"}', "is more than 365d"],
    ['{"not_before": "2h"}', "is not a time"],
    ['{"attempts": 0}', "line 41: attempts:"],
    ['{"command": "rm"}', "line 41: the job: Unrecognized key"],
    ['{"pool": "none"}', "no node of the fleet is in the pool none"],
  ] as const) {
    writeFileSync(file, [...lines, line].join("\n"));
    const { code, stderr } = await submit();
    expect([code, stderr]).toEqual([2, expect.stringContaining(reason)]);
  }
  expect(await listed("--pool", "many")).toEqual([]);
  writeFileSync(file, lines.join("\n"));
  expect((await submit()).stdout.split("\n")).toHaveLength(41);
  const again = await submit();
  expect([again.code, again.stdout.match(/already submitted/g)?.length]).toEqual([0, 40]);
  const found = await listed("--pool", "many");
  expect(found.map(({ state }) => state)).toEqual(Array(40).fill("offered"));
  expect(found.find(({ job }) => job === "many-7")).toMatchObject({ labels: { batch: "7", n: "7" } });
});

live("bad options are refused, and a key that cannot sign", async () => {
  const at = (...args: string[]) => hub.run("submit", ...args);
  for (const [args, reason] of [
    [["hls"], "no pool is named"],
    [["--pool", "submit"], "no template is named"],
    [["hls", "--pool", "nowhere"], "no node of the fleet is in the pool nowhere"],
    [["../x", "--pool", "submit"], "template: expected 1 to 63"],
    [["hls", "--pool", "submit", "--from", "/nonexistent"], "cannot read /nonexistent"],
    [["hls", "--pool", "submit", "--key", `${hub.directory}/admin.nk`], "has no signing key"],
  ] as const)
    expect(await at(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining(reason) });
  for (const args of [
    ["hls", "--pool", "a b"],
    ["hls", "--pool", "submit", "--param", "x"],
    ["hls", "--pool", "submit", "--attempts", "99"],
  ])
    expect((await at(...args)).code).toBe(2);
  const key = sandbox.path("other.nk");
  const other = createSigningKey();
  writeFileSync(key, other.seed, { mode: 0o600 });
  await hub.must("submit", "hls", "--pool", "submit", "--id", "by-other", "--key", key);
  const taken = await nodes[0].take("submit");
  expect(taken.offer.job.key).toBe(other.publicKey);
});

live("queue shows where each job is", async () => {
  const [first, second] = nodes;
  for (const id of ["s-1", "s-2", "s-3"])
    await hub.must("submit", "hls", "--pool", "states", "--id", id, "--attempts", "2", "--rerun", "if_lost");
  await hub.must("submit", "hls", "--pool", "states", "--id", "s-brief", "--expires", "1ms");
  const [one, two] = [await first.take("states"), await second.take("states")];
  await first.report([one]);
  expect(await stateOf("s-1")).toBe("running, running edge-1");
  expect(await stateOf("s-2")).toBe("claimed, claimed edge-2");
  expect(await stateOf("s-3")).toBe("offered, offered null");
  expect(await stateOf("s-brief")).toBe("expired, expired null");
  await first.end(one, 3);
  await second.lose(two);
  expect(await stateOf("s-2")).toBe("offered, lost edge-2, offered null");
  const table = await hub.must("queue", "--pool", "states", "--all");
  expect(table).toMatch(/^s-1 +ended, failed .* edge-1 +1\/2 +states +hls/m);
  expect(table).toMatch(/^s-2 +offered .* 2\/2/m);
  expect((await listed("--pool", "states")).map(({ job }) => job)).toEqual(["s-2", "s-3"]);
  expect((await hub.run("queue", "none")).stderr).toContain("the hub knows no job none");
  expect((await hub.run("queue", "*")).stderr).toContain("is not the id of a job");
  await first.report();
});

live("what a node was not given, it cannot make look claimed", async () => {
  const [first] = nodes;
  await hub.must("submit", "hls", "--pool", "late", "--id", "odd", "--attempts", "2");
  const [pulled] = [await first.pull("late")];
  if (pulled === undefined) throw new Error("no offer");
  await first.claim({ id: "odd", offer: { ...pulled.offer, attempt: 19 } });
  expect((await listed("odd")).map(({ state }) => state)).toEqual(["offered"]);
  await first.claim(pulled);
  first.acknowledge(pulled);
});

live("lost states the losses of a node that is gone, and offers again what may run again", async () => {
  const [first, second] = nodes;
  for (const [id, ...more] of [["l-again", "--rerun", "if_lost"], ["l-never"], ["l-ended"]] as const)
    await hub.must("submit", "hls", "--pool", "lost", "--id", id, "--attempts", "2", ...more);
  const [again, , ended] = [await second.take("lost"), await second.take("lost"), await second.take("lost")];
  await second.end(ended);
  await second.report([again]);
  const up = await hub.run("lost", "edge-2", "--yes");
  expect([up.code, up.stderr]).toEqual([2, expect.stringContaining("it may run these jobs")]);
  const asked = await hub.run("lost", "edge-2");
  expect([asked.code, asked.stderr]).toEqual([1, expect.stringContaining("nothing was stated")]);
  expect(asked.stderr).toContain("--yes --even-if-up: the node is up");
  expect(asked.stdout).toContain("l-again.1: edge-2 has claimed it at ");
  expect(asked.stdout).not.toContain("l-ended");
  expect(await stateOf("l-again")).toBe("running, running edge-2");

  const stated = await hub.must("lost", "edge-2", "--even-if-up", "--yes", "--why", "disk burnt");
  expect(stated).toContain("l-again.1 is stated lost; offered again as l-again.2");
  expect(stated).toContain("l-never.1 is stated lost; to offer it again: ffrtmp fleet requeue l-never");
  expect(await stateOf("l-never")).toBe("lost, lost edge-2");
  const second2 = await first.take("lost");
  expect([second2.id, second2.offer.attempt]).toEqual(["l-again", 2]);
  expect(await hub.must("lost", "edge-2", "--even-if-up", "--yes")).toContain("has claimed no job");

  // The node comes back, and had run it.
  await second.end(again, 0);
  await first.end(second2, 0);
  expect(await stateOf("l-again")).toBe("ended, superseded edge-2, ended edge-1");
  expect(await hub.must("queue", "l-again")).toContain(
    "attempt 1 has ended on edge-2 after it was stated lost",
  );
  const results: { job_id: string; superseded: boolean }[] = JSON.parse(await hub.must("results", "--json"));
  const marks = results.filter(({ job_id: id }) => id.startsWith("l-again.")).map((each) => each.superseded);
  expect(marks.sort()).toEqual([false, true]);
  expect(await hub.must("results", "--no-trunc")).toMatch(/l-again\.1 .*superseded/);
  expect((await hub.run("lost", "edge-9")).stderr).toContain("the fleet has no node edge-9");
  await second.report();
});

live("requeue offers the next attempt of what is over, and only with --lost what may run", async () => {
  const [first] = nodes;
  const submit = (id: string, attempts: string) =>
    hub.must("submit", "hls", "--pool", "requeue", "--id", id, "--attempts", attempts);
  await submit("r-1", "3");
  const waiting = await hub.run("requeue", "r-1");
  expect([waiting.code, waiting.stderr]).toEqual([2, expect.stringContaining("in the queue already")]);
  const taken = await first.take("requeue");
  const held = await hub.run("requeue", "r-1");
  expect([held.code, held.stderr]).toEqual([2, expect.stringContaining("edge-1 has r-1.1, and it may run")]);
  expect(await hub.must("requeue", "r-1", "--lost")).toContain("r-1 is offered as r-1.2");
  const next = await first.take("requeue");
  expect(next.offer.job).toEqual(taken.offer.job);
  await first.end(next, 1);
  expect(await hub.must("requeue", "r-1")).toContain("r-1 is offered as r-1.3");
  const last = await first.take("requeue");
  await first.end(last, 1);
  expect((await hub.run("requeue", "r-1")).stderr).toContain("submitted with --attempts 3, and all are used");

  await submit("r-2", "2");
  await first.end(await first.take("requeue"));
  expect((await hub.run("requeue", "r-2")).stderr).toContain("r-2 has succeeded");

  // A node takes an offer out of the queue and claims nothing.
  await submit("r-3", "1");
  const dropped = await first.pull("requeue");
  if (dropped === undefined) throw new Error("no offer");
  first.acknowledge(dropped);
  await first.report();
  expect(await stateOf("r-3")).toBe("missing");
  expect(await hub.must("requeue", "r-3")).toContain("r-3 is offered as r-3.1");
  expect(await stateOf("r-3")).toBe("offered, offered null");
});

live("a cancellation that is there already is no claim of a node", async () => {
  await hub.must("submit", "hls", "--pool", "cancel", "--id", "c-3");
  const admin = await hub.admin();
  try {
    const { records, hubNowMs } = await readClaims(admin, { jobs: ["c-3"] });
    const record = records.get("c-3");
    if (record === undefined) throw new Error("no record");
    // As of a try whose answer was lost, or of two operators.
    for (const by of ["ops", "ops", "other"])
      expect(await cancel(admin, record, { by, hubNowMs })).toBe("cancelled");
  } finally {
    await admin.close();
  }
});

live("cancel withdraws what no node has claimed, also an offer that is on its way", async () => {
  const [first] = nodes;
  await hub.must("submit", "hls", "--pool", "cancel", "--id", "c-1");
  const pulled = await first.pull("cancel");
  if (pulled === undefined) throw new Error("no offer");
  expect(await hub.must("cancel", "c-1")).toContain("no node can claim it any more");
  expect(await first.claim(pulled)).toBe(false);
  expect(await stateOf("c-1")).toBe("cancelled, cancelled null");
  expect((await hub.run("requeue", "c-1")).stderr).toContain("c-1 was cancelled");
  expect(await hub.must("submit", "hls", "--pool", "cancel", "--id", "c-1")).toContain("already submitted");
  expect(await first.pull("cancel", 300)).toBeUndefined();

  await hub.must("submit", "hls", "--pool", "cancel", "--id", "c-2");
  await first.take("cancel");
  const late = await hub.run("cancel", "c-2");
  expect([late.code, late.stderr]).toEqual([2, expect.stringContaining("it is claimed on edge-1")]);
});
