import { expect, it } from "bun:test";
import { until } from "../../../test/support/sandbox.ts";
import { type AgentDispatch, type DispatchConnection, DispatchOnDemand } from "./dispatchOnDemand.ts";
import type { Hub } from "./hub.ts";

const CONNECTION: DispatchConnection = { isConnected: true, epoch: 0, refusal: undefined };
const LOADED = { capacity: null, dispatch: { state: "pulling" as const, why: null } };

it("a dispatcher is loaded when root allows jobs, and serves each connection from then on", async () => {
  let [isWanted, isOpen, loads, served, wakes] = [false, true, 0, 0, 0];
  const loaded: AgentDispatch = {
    report: LOADED,
    wake: () => void wakes++,
    serve: async () => void served++,
  };
  const dispatch = new DispatchOnDemand(
    () => isWanted,
    async () => {
      loads++;
      return loaded;
    },
  );
  const serve = () => dispatch.serve(CONNECTION, {} as Hub, () => isOpen);
  const first = serve();
  // It has looked, and knows that there is nothing.
  expect(dispatch.report).toEqual({
    capacity: null,
    accepts: null,
    dispatch: { state: "off", why: null },
    claims: { known: 0, confirmed: null },
  });
  isWanted = true;
  // Claims that are not read yet are not none.
  expect(dispatch.report).toEqual({ capacity: null, accepts: null, dispatch: { state: "off", why: null } });
  dispatch.wake();
  await first;
  expect([loads, served, dispatch.report]).toEqual([1, 1, LOADED]);
  await serve();
  expect([loads, served]).toEqual([1, 2]);
  dispatch.wake();
  expect(wakes).toBe(1);
  isOpen = false;
});

it("the end of a connection ends the wait for root's permission", async () => {
  let isOpen = true;
  const dispatch = new DispatchOnDemand(
    () => false,
    () => Promise.reject(new Error("nothing to load")),
  );
  let hasEnded = false;
  void dispatch
    .serve(CONNECTION, {} as Hub, () => isOpen)
    .then(() => {
      hasEnded = true;
    });
  isOpen = false;
  dispatch.wake();
  await until("it has ended", () => hasEnded);
});
