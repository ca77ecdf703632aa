import { expect, test } from "bun:test";
import { someResultLine } from "../../../test/support/fleet/messages.ts";
import { listResults } from "./results.ts";

const NOW_MS = Date.parse("2026-11-28T12:00:00.000Z");

function stored(...batches: [node: string, results: unknown[]][]) {
  const messages = batches.map(([node, results]) => ({
    node,
    atMs: NOW_MS,
    message: {
      v: 1 as const,
      ledger_id: `ledger-of-${node}`,
      boot_id: "b",
      from: 1,
      to: 9,
      to_key: "k",
      before: [],
      results,
    },
  }));
  return { messages, hubNowMs: NOW_MS };
}

test("results are those whose jobs ended in the period, the latest first, whenever they arrived", () => {
  const at = (seq: number, endMs: number) => someResultLine(seq, {}, { endMs });
  const batch = stored(["edge-1", [at(1, 999), at(2, 1000), at(3, 1999), at(4, 2000)]]);
  const { results } = listResults(batch, 1000, 2000);
  expect(results.map(({ seq, node }) => [seq, node])).toEqual([
    [3, "edge-1"],
    [2, "edge-1"],
  ]);
});

test("an end that was not observed counts at a time when the job had ended", () => {
  const line = someResultLine(1, {}, { endMs: 1500, endedBeforeMs: 1500 });
  expect(line["end_time"]).toBeNull();
  expect(listResults(stored(["edge-1", [line]]), 1000, 2000).results).toHaveLength(1);
});

test("a result that another node has a copy of counts once, for the node that sent it first", () => {
  const line = someResultLine(1);
  const { results } = listResults(
    stored(["edge-2", [line]], ["edge-1", [line]]),
    0,
    Number.POSITIVE_INFINITY,
  );
  expect(results.map(({ node }) => node)).toEqual(["edge-2"]);
});

test("a node cannot say that its results are those of another one", () => {
  const line = { ...someResultLine(1), node: "edge-2", ledger_id: "x", stored: "x" };
  const { results } = listResults(stored(["edge-1", [line]]), 0, Number.POSITIVE_INFINITY);
  expect(results[0]).toMatchObject({
    node: "edge-1",
    ledger_id: "ledger-of-edge-1",
    stored: "2026-11-28T12:00:00.000Z",
  });
});

test("results of another form are counted and left out, and keys of a later release stay", () => {
  const later = { ...someResultLine(1), energy_joules: 7, mode: "adopt" };
  const { results, unreadable } = listResults(
    stored(["edge-1", [later, { seq: 2, key: "x" }, { ...someResultLine(3), outcome: 7 }]]),
    0,
    Number.POSITIVE_INFINITY,
  );
  expect(results).toMatchObject([{ energy_joules: 7 }]);
  expect(unreadable).toBe(2);
});

test("a result with times that cannot be is counted and left out", () => {
  const faults = [{ end_time: "garbage" }, { runtime_seconds: 1e300 }, { runtime_at_most_seconds: -1 }];
  const lines = faults.map((fault, index) => ({ ...someResultLine(index + 1), ...fault }));
  const { results, unreadable } = listResults(stored(["edge-1", lines]), 0, Number.POSITIVE_INFINITY);
  expect([results.length, unreadable]).toEqual([0, 3]);
});
