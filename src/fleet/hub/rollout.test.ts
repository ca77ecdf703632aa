import { expect, test } from "bun:test";
import { someReport } from "../../../test/support/fleet/messages.ts";
import type { NodeMessage } from "../messages/node.ts";
import { digestOf, isSelected } from "../policy/selection.ts";
import { listNodes } from "./nodes.ts";
import { countStates, listRollout, type RolledOut, stateCountsText } from "./rollout.ts";

const NOW_MS = Date.parse("2026-11-28T03:00:00.000Z");
const POLICY: RolledOut = { ring: "stable", serial: 7, percent: 100, sha256: digestOf("{}"), digest: "d7" };

type PolicyReport = NonNullable<NodeMessage["policy"]>;

function nodeWith(policy: Partial<PolicyReport> | null, different: Partial<NodeMessage> = {}, ageMs = 1000) {
  const full =
    policy === null
      ? null
      : {
          ...{ ring: "stable", in_force_ring: "stable", serial: 6, highest: 6, sent: "d6" },
          ...{ state: "applied" as const, why: null, ...policy },
        };
  const report = someReport({ node: "edge-1", ring: "stable", policy: full, ...different });
  const messages = [{ node: report.node, atMs: NOW_MS - ageMs, message: report }];
  const [node] = listNodes(new Set([report.node]), { messages, hubNowMs: NOW_MS });
  if (node === undefined) throw new Error("no node");
  return { node, report };
}

function stateOf(...node: Parameters<typeof nodeWith>) {
  return listRollout(POLICY, [nodeWith(...node)])[0]?.state;
}

test("a node has applied a policy when it is in force there, and says so itself", () => {
  expect(stateOf({ serial: 7, sent: "d7" })).toBe("applied");
  // The same serial of another ring.
  expect(stateOf({ serial: 7, sent: "d6", in_force_ring: "canary" })).toBe("waiting");
  expect(stateOf({})).toBe("waiting");
});

test("a refusal counts only where it is about this policy", () => {
  expect(stateOf({ state: "refused", why: "x", sent: "d7" })).toBe("refused");
  expect(stateOf({ state: "unsupported", why: "x", sent: "d7" })).toBe("unsupported");
  expect(stateOf({ state: "refused", why: "x", sent: "d6" })).toBe("waiting");
  expect(stateOf({ state: "refused", why: "x", sent: null })).toBe("waiting");
});

test("a node without a daemon waits, and its state says why", () => {
  const [running] = listRollout(POLICY, [nodeWith(null)]);
  expect(running).toMatchObject({ state: "waiting", why: "its ffrtmp watch follows no fleet" });
  const [stopped] = listRollout(POLICY, [nodeWith(null, { watch: null })]);
  expect(stopped).toMatchObject({ state: "waiting", why: "its ffrtmp watch does not run" });
});

test("who is silent, ignores it or is not selected holds up nobody", () => {
  expect(stateOf({}, {}, 3_600_000)).toBe("silent");
  // What it had before it fell silent is so still.
  expect(stateOf({ serial: 7, sent: "d7" }, {}, 3_600_000)).toBe("applied");
  expect(stateOf({ state: "ignored", why: "x", serial: null, in_force_ring: null })).toBe("ignored");
  const [none] = listRollout({ ...POLICY, percent: 0 }, [nodeWith({})]);
  expect(none?.state).toBe("unselected");
  expect(isSelected(100, "edge-1", POLICY.sha256)).toBe(true);
});

test("nodes of other rings, and those that have not said theirs, are not part of it", () => {
  expect(listRollout(POLICY, [nodeWith({}, { ring: "canary" }), nodeWith({}, { ring: undefined })])).toEqual(
    [],
  );
});

test("the states are counted", () => {
  const nodes = listRollout(POLICY, [nodeWith({ serial: 7 }), nodeWith({ serial: 7 }), nodeWith({})]);
  expect(countStates(nodes)).toMatchObject({ applied: 2, waiting: 1, refused: 0 });
  expect(stateCountsText(nodes)).toBe("2 applied, 1 waiting");
  expect(stateCountsText([])).toBe("no node has reported");
});
