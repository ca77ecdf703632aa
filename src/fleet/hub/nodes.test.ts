import { expect, test } from "bun:test";
import { someLiveJob, someReport } from "../../../test/support/fleet/messages.ts";
import type { NodeMessage } from "../messages/node.ts";
import { listJobs, listNodes } from "./nodes.ts";

const NOW_MS = Date.parse("2026-11-28T12:00:00.000Z");
const MINUTE_MS = 60_000;

/** Returns the reports of nodes, each received at a time. */
function received(...reports: [node: string, ageMs: number, message: NodeMessage | undefined][]) {
  const messages = reports.map(([node, ageMs, message]) => ({ node, atMs: NOW_MS - ageMs, message }));
  return { messages, hubNowMs: NOW_MS };
}

function stateOf(ageMs: number, message: NodeMessage | undefined) {
  const [found] = listNodes(new Set(["edge-1"]), received(["edge-1", ageMs, message]));
  return [found?.state, found?.problem];
}

test("a node without a report for two and a half minutes is silent, by the clock of the hub", () => {
  const ahead = someReport({ at: "2026-11-28T15:00:00.000Z" });
  expect(stateOf(2.5 * MINUTE_MS, ahead)).toEqual(["up", null]);
  expect(stateOf(2.5 * MINUTE_MS + 1, ahead)).toEqual(["silent", null]);
  // The clock of the hub was set back.
  expect(stateOf(-5 * MINUTE_MS, ahead)).toEqual(["up", null]);
});

test("a node whose ledger was refused is shown as refused, with the reason", () => {
  const outbox = {
    ...someReport().outbox,
    state: "diverged" as const,
    why: "the hub has result 9, and the ledger ends at 7",
  };
  const problem = "its results are refused: the hub has result 9, and the ledger ends at 7";
  expect(stateOf(0, someReport({ outbox }))).toEqual(["refused", problem]);
  // It still was when it fell silent.
  expect(stateOf(3 * MINUTE_MS, someReport({ outbox }))).toEqual(["silent", problem]);
});

test("a node that reports a fault, or what this release cannot read, is failing", () => {
  expect(stateOf(0, someReport({ fault: "EACCES (permission denied)" }))).toEqual([
    "failing",
    "its agent reports: EACCES (permission denied)",
  ]);
  expect(stateOf(0, undefined)).toEqual(["failing", "its report is not of a form that this release knows"]);
});

test("a node that may take no jobs of the fleet, or cannot, says why", () => {
  const old = { state: "refused" as const, why: "the hub is nats-server 2.10.27" };
  expect(stateOf(0, someReport({ dispatch: old }))).toEqual([
    "up",
    "it takes no jobs of the fleet: the hub is nats-server 2.10.27",
  ]);
  expect(stateOf(0, someReport({ dispatch: { state: "off", why: null } }))).toEqual(["up", null]);
});

test("a node whose watch has died is up, with that as its problem", () => {
  const watch = { state: "died" as const, since: "2026-11-28T00:00:00.000Z" };
  expect(stateOf(0, someReport({ watch }))).toEqual(["up", "its ffrtmp watch has died"]);
});

test("what an agent cannot read is unknown, and not zero", () => {
  const [node] = listNodes(new Set(["edge-1"]), received(["edge-1", 0, someReport({ fault: "x" })]));
  expect(node).toMatchObject({
    jobs: null,
    results_waiting: null,
    eligible_jobs: null,
    compliant_jobs: null,
  });
});

test("nodes are those of the operator's files and those that have reported", () => {
  const nodes = listNodes(
    new Set(["edge-2", "edge-3"]),
    received(["edge-2", 0, someReport()], ["edge-1", 0, someReport()]),
  );
  expect(nodes.map(({ node, state }) => [node, state])).toEqual([
    ["edge-1", "revoked"],
    ["edge-2", "up"],
    ["edge-3", "invited"],
  ]);
});

test("a machine that was cloned and joined as another node is named", () => {
  const same = { ledger_id: "ledger-1" };
  const reports = received(
    ["edge-1", 0, someReport({ node: "edge-1", ...same })],
    ["edge-2", 0, someReport({ node: "edge-2", ...same })],
    ["edge-3", 0, someReport({ node: "edge-3" })],
  );
  const nodes = listNodes(new Set(["edge-1", "edge-2", "edge-3"]), reports);
  expect(nodes.map(({ problem }) => problem)).toEqual([
    "its ledger is a copy of that of edge-2: results of both count once",
    "its ledger is a copy of that of edge-1: results of both count once",
    null,
  ]);
});

test("the jobs of a silent node are listed, with its state", () => {
  const reports = received(
    ["edge-1", 0, someReport({ jobs: [someLiveJob({ job: "a" })] })],
    ["edge-2", 10 * MINUTE_MS, someReport({ jobs: [someLiveJob({ job: "b" })] })],
  );
  const jobs = listJobs(listNodes(new Set(["edge-1", "edge-2"]), reports), reports);
  expect(jobs.map(({ node, job_id, node_state }) => [node, job_id, node_state])).toEqual([
    ["edge-1", "a", "up"],
    ["edge-2", "b", "silent"],
  ]);
});

test("times that are none hide neither the job nor those of other nodes", () => {
  const times = ["garbage", "+275760-09-13T00:00:00.000Z", "-271821-04-20T00:00:00.000Z"];
  const report = someReport({ at: "garbage", jobs: times.map((since) => someLiveJob({ since })) });
  const reports = received(["edge-1", 0, report]);
  const nodes = listNodes(new Set(["edge-1"]), reports);
  expect(nodes[0]?.clock_offset_seconds).toBeNull();
  expect(listJobs(nodes, reports).map(({ start_time }) => start_time)).toEqual([null, null, null]);
});

test("results that were pruned before they could be sent do not wait for ever", () => {
  const waiting = (oldest_ms: number | null) => {
    const outbox = { seq: 9, sent: 7, oldest_ms, state: "current" as const, why: null };
    return listNodes(new Set(), received(["edge-1", 0, someReport({ outbox })]))[0]?.results_waiting;
  };
  expect([waiting(0), waiting(null)]).toEqual([2, 0]);
});
