import { expect, test } from "bun:test";
import { someReport } from "../../../../test/support/fleet/messages.ts";
import type { NodeMessage } from "../../messages/node.ts";
import { listReturns } from "./returns.ts";

const SINCE = Date.parse("2026-11-28T12:00:00Z");
const minutes = (count: number) => count * 60_000;
const iso = (ms: number) => new Date(ms).toISOString();

/** Returns whether a node is back whose report the hub has stored then. */
function isBack(atMs: number, different: Partial<NodeMessage> | undefined): boolean | undefined {
  const message = different === undefined ? undefined : someReport({ at: iso(atMs), ...different });
  const reports = { messages: [{ node: "edge-1", atMs, message }], hubNowMs: atMs };
  return listReturns(["edge-1"], reports, SINCE)[0]?.is_back;
}

test("a node is back when it has compared its claims since the queues were closed", () => {
  const claims = (confirmedMs: number) => ({ claims: { known: 3, confirmed: iso(confirmedMs) } });
  expect(isBack(SINCE + minutes(3), claims(SINCE + minutes(2)))).toBe(true);
  expect(isBack(SINCE + minutes(3), claims(SINCE - minutes(2)))).toBe(false);
  expect(isBack(SINCE - minutes(3), claims(SINCE - minutes(4)))).toBe(false);
  expect(isBack(SINCE + minutes(3), { claims: { known: 3, confirmed: null } })).toBe(false);
  expect(isBack(SINCE + minutes(3), { claims: { known: 0, confirmed: null } })).toBe(true);
});

test("a report of another release, or of the backup, is no return", () => {
  expect(isBack(SINCE + minutes(3), {})).toBe(false);
  expect(isBack(SINCE + minutes(3), undefined)).toBe(false);
  expect(isBack(SINCE - minutes(3), { claims: { known: 0, confirmed: null } })).toBe(false);
  const none = { messages: [], hubNowMs: SINCE };
  expect(listReturns(["b", "a"], none, SINCE).map(({ node, is_back }) => [node, is_back])).toEqual([
    ["a", false],
    ["b", false],
  ]);
});

test("the clock of a node may be wrong by days", () => {
  for (const offset of [-minutes(5000), minutes(5000)]) {
    const at = iso(SINCE + minutes(3) + offset);
    const report = (confirmed: number) => ({ at, claims: { known: 1, confirmed: iso(confirmed + offset) } });
    expect(isBack(SINCE + minutes(3), report(SINCE + minutes(2)))).toBe(true);
    expect(isBack(SINCE + minutes(3), report(SINCE - minutes(2)))).toBe(false);
  }
});
