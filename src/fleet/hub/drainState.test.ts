import { expect, test } from "bun:test";
import { someLiveJob, someReport } from "../../../test/support/fleet/messages.ts";
import type { NodeMessage } from "../messages/node.ts";
import { drainState } from "./drainState.ts";

const SERIAL = 7;
const CORDONED = {
  desired: SERIAL,
  cordoned: { from: "fleet" as const, by: "ops", reason: "drain" },
  dispatch: { state: "cordoned" as const, why: "drain" },
};

function state(change: Partial<NodeMessage>) {
  const { isDrained, text } = drainState({ ...someReport(), ...CORDONED, ...change }, SERIAL);
  return [isDrained, text];
}

const capacity = (claimed: number) => ({ slots: 4, free: 4 - claimed, claimed });
const jobOfFleet = { ...someLiveJob(), labels: { fleet_job: "t1" } };

test("a node is drained when no job of the fleet runs there and none is claimed", () => {
  expect(state({ capacity: capacity(0) })).toEqual([true, "0 jobs of the fleet run there"]);
  expect(state({ capacity: capacity(1) })).toEqual([false, "0 jobs of the fleet run there, and 1 claimed"]);
  expect(state({ capacity: capacity(1), jobs: [jobOfFleet] })).toEqual([
    false,
    "1 job of the fleet runs there",
  ]);
  expect(state({ capacity: capacity(0), jobs: [someLiveJob()] })).toEqual([
    true,
    "0 jobs of the fleet run there; 1 other job runs on",
  ]);
  expect(state({ capacity: capacity(0), more: 3 })[0]).toBe(false);
});

test("what claims jobs has to know of the cordon itself, and to say what it has claimed", () => {
  const unaware = [false, "it does not know of the cordon yet"];
  expect(state({ capacity: capacity(0), dispatch: { state: "pulling", why: null } })).toEqual(unaware);
  expect(state({ desired: SERIAL - 1, capacity: capacity(0) })).toEqual(unaware);
  expect(state({ capacity: null, dispatch: { state: "failing", why: "no ledger" } })).toEqual([
    false,
    "it cannot say what it has claimed: no ledger",
  ]);
});

test("a node that takes no jobs, or of a release without them, has none that are claimed", () => {
  const drained = [true, "0 jobs of the fleet run there"];
  const off = { capacity: null, dispatch: { state: "off" as const, why: null } };
  expect(state({ ...off, claims: { known: 0, confirmed: null } })).toEqual(drained);
  expect(state({ ...off, claims: { known: 3, confirmed: "2026-11-28T00:00:00.000Z" } })).toEqual(drained);
  // As an agent reports that has just started.
  const unread = [false, "its agent has not read yet what it has claimed"];
  expect(state({ ...off, claims: { known: 3, confirmed: null } })).toEqual(unread);
  expect(state(off)).toEqual(unread);
  const { dispatch: _, ...earlier } = { ...someReport(), ...CORDONED };
  expect(drainState(earlier, SERIAL).isDrained).toBe(true);
});
