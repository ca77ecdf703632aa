import { expect, test } from "bun:test";
import { someReport } from "../../../../test/support/fleet/messages.ts";
import type { NodeMessage } from "../../messages/node.ts";
import { listNodes } from "../nodes.ts";
import { type PoolView, whyNoTemplate, whyWaiting } from "./waiting.ts";

const NOW_MS = Date.parse("2026-11-28T12:00:00.000Z");
const PULLING: Partial<NodeMessage> = {
  dispatch: { state: "pulling", why: null },
  capacity: { slots: 2, free: 1, claimed: 1 },
  accepts: { pools: ["live"], templates: ["hls", "thumb"], more: 0, signed_templates: false },
};
const FULL: Partial<NodeMessage> = {
  ...PULLING,
  dispatch: { state: "full", why: null },
  capacity: { slots: 2, free: 0, claimed: 2 },
};
const SIGNED: Partial<NodeMessage> = {
  ...PULLING,
  accepts: { pools: ["live"], templates: [], more: 0, signed_templates: true },
};

/** Returns what the hub knows of nodes of the pool live by their last reports; `undefined`: it has none. */
function view(
  reports: Record<string, Partial<NodeMessage> | undefined>,
  { stored = [] as string[], isClosed = false, ageMs = 0 } = {},
): PoolView {
  const names = Object.keys(reports);
  const messages = names.flatMap((node) =>
    reports[node] === undefined
      ? []
      : [{ node, atMs: NOW_MS - ageMs, message: someReport({ node, ...reports[node] }) }],
  );
  const nodes = listNodes(new Set(names), { messages, hubNowMs: NOW_MS }).map((node) => ({
    node,
    report: messages.find((each) => each.node === node.node)?.message,
  }));
  return { pools: new Map(names.map((name) => [name, ["live"]])), nodes, stored: new Set(stored), isClosed };
}

const HLS = { pool: "live", template: "hls" };
const TYPO = { pool: "live", template: "hsl" };
const NEWER = { dispatch: { state: "pulling" as const, why: null } };

test.each([
  [HLS, view({ a: PULLING }), null],
  [HLS, view({ a: FULL }), "no node can claim it: no free slot (a)"],
  [TYPO, view({ a: PULLING, b: FULL }), "no node can claim it: no template hsl (a, b)"],
  [HLS, view({ a: FULL, b: SIGNED }), "no node can claim it: no free slot (a); no template hls (b)"],
  [HLS, view({ a: FULL, b: SIGNED }, { stored: ["hls"] }), null],
  [
    HLS,
    view({ a: { ...FULL, cordoned: { from: "node", by: "root", reason: "disk" } } }),
    "no node can claim it: cordoned: disk (a)",
  ],
  [
    HLS,
    view({ a: { dispatch: { state: "off", why: null }, accepts: null } }),
    "no node can claim it: root accepts no jobs of the fleet (a)",
  ],
  [
    HLS,
    view({ a: { dispatch: { state: "refused", why: "no ledger" } } }),
    "no node can claim it: it takes no jobs: no ledger (a)",
  ],
  [{ ...HLS, pool: "vod" }, view({ a: PULLING }), "no node is in the pool vod"],
  [HLS, view({ a: undefined }), "no node can claim it: never reported (a)"],
  [HLS, view({ a: PULLING }, { ageMs: 3_600_000 }), "no node can claim it: silent (a)"],
  [
    HLS,
    view({ a: PULLING }, { isClosed: true }),
    "the queues are closed until ffrtmp fleet restore --finish",
  ],
  [
    HLS,
    view({ a: { ...PULLING, accepts: { ...PULLING.accepts, pools: ["vod"] } as NodeMessage["accepts"] } }),
    "no node can claim it: root accepts no jobs of the pool live (a)",
  ],
  // A report of an earlier release, or one that names only a part of the templates.
  [TYPO, view({ a: NEWER }), null],
  [TYPO, view({ a: FULL, b: NEWER }), null],
  [
    TYPO,
    view({ a: { ...PULLING, accepts: { ...PULLING.accepts, more: 1 } as NodeMessage["accepts"] } }),
    null,
  ],
])("a job %p waits for a reason that reports tell", (wanted, known, reason) => {
  expect(whyWaiting(wanted, known)).toBe(reason);
});

test("a template that no node has is known only where all nodes of the pool have reported theirs", () => {
  const said = "no node of the pool live has a template hsl; theirs are hls, thumb";
  expect(whyNoTemplate(TYPO, view({ a: PULLING, b: FULL }))).toBe(said);
  // A silent node has said what it has.
  expect(whyNoTemplate(TYPO, view({ a: PULLING }, { ageMs: 3_600_000 }))).toBe(said);
  expect(whyNoTemplate(TYPO, view({ a: PULLING, b: SIGNED }, { stored: ["vod"] }))).toContain(
    "hls, thumb, vod",
  );
  expect(whyNoTemplate(TYPO, view({ a: PULLING, b: SIGNED }, { stored: ["hsl"] }))).toBeNull();
  expect(whyNoTemplate(HLS, view({ a: PULLING }))).toBeNull();
  for (const unknown of [undefined, NEWER])
    expect(whyNoTemplate(TYPO, view({ a: PULLING, b: unknown }))).toBeNull();
  expect(whyNoTemplate(TYPO, view({}))).toBeNull();
  expect(whyNoTemplate(TYPO, view({ a: SIGNED }))).toBe(
    "no node of the pool live has a template hsl; they have none",
  );
});
