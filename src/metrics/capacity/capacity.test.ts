import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { shareGroup as group } from "../../../test/support/shareGroups.ts";
import type { ShareGroup } from "../shares/model.ts";
import { bindingOf } from "./answer.ts";
import { boundOf, placeIn, weightsBound } from "./capacity.ts";

const CORES = 2;
const busy = (path: string, fields: Partial<ShareGroup> = {}) =>
  group(path, { threads: [{ weight: 100, demandCores: 2 }], ...fields });
const lives = (count: number, weight = 100) =>
  Array.from({ length: count }, (_, n) => busy(`/live-${n}`, { weight }));
const batch = (count: number, weight = 100) =>
  Array.from({ length: count }, (_, n) => busy(`/batch-${n}`, { weight }));
const needs = (count: number, needCores: number) =>
  Array.from({ length: count }, (_, n) => ({ name: `/live-${n}`, needCores }));

describe("the capacity of a machine", () => {
  it("is what is left of a limit, in whole streams", () => {
    expect(boundOf("cores", 1.8, 1.2, 0.3).fits).toBe(2);
    expect(boundOf("cores", 1.8, 1.2, 0.31).fits).toBe(1);
    expect(boundOf("tenant", 1, 1.2, 0.3).fits).toBe(0);
  });

  it("is bound by the least", () => {
    const bounds = [boundOf("cores", 1.8, 1.2, 0.3), boundOf("tenant", 1, 0.8, 0.3)];
    expect(bindingOf(bounds)?.kind).toBe("tenant");
  });

  it("by the weights counts the streams that still get their need beside busy neighbours", () => {
    const candidate = (weight: number) => ({ needCores: 0.3, place: { parent: "", weight } });
    const fair = group("", { children: [...lives(2), ...batch(4)] });
    // 2 cores for 6 groups, and 0.3 for each stream: one more makes 0.286.
    expect(weightsBound(fair, CORES, needs(2, 0.3), candidate(100), 10)?.fits).toBe(0);
    const ahead = group("", { children: [...lives(2, 1000), ...batch(4, 1)] });
    expect(weightsBound(ahead, CORES, needs(2, 0.3), candidate(1000), 10)?.fits).toBe(4);
    expect(weightsBound(ahead, CORES, needs(2, 0.3), candidate(1000), 3)?.fits).toBe(3);
    expect(weightsBound(ahead, CORES, needs(2, 0.3), candidate(1), 10)?.fits).toBe(0);
  });

  it("by the weights ends at the quota of the cgroup around the streams", () => {
    const gate = group("/gate", { weight: 1000, quotaCores: 1, children: [busy("/gate/live")] });
    const root = group("", { children: [gate, ...batch(2)] });
    const needed = [{ name: "/gate/live", needCores: 0.4 }];
    const place = { parent: "/gate", weight: 100 };
    expect(weightsBound(root, CORES, needed, { needCores: 0.3, place }, 10)?.fits).toBe(2);
    expect(
      weightsBound(root, CORES, needed, { needCores: 0.3, place: { ...place, parent: "/x" } }, 10),
    ).toBeNull();
  });

  it("by the weights is 0 where a stream is short already", () => {
    const root = group("", { children: [...lives(1), ...batch(9)] });
    const place = { parent: "", weight: 100 };
    expect(weightsBound(root, CORES, needs(1, 0.3), { needCores: 0.1, place }, 10)?.fits).toBe(0);
  });

  it("by the weights never grows with a neighbour, nor with a larger need", () => {
    const whole = fc.integer({ min: 0, max: 5 });
    const cores = fc.double({ min: 0.05, max: 0.5, noNaN: true });
    fc.assert(
      fc.property(whole, whole, cores, cores, (liveCount, batchCount, need, needCores) => {
        const fits = (neighbours: number, each: number) => {
          const root = group("", { children: [...lives(liveCount, 300), ...batch(neighbours, 50)] });
          const candidate = { needCores: each, place: { parent: "", weight: 300 } };
          return weightsBound(root, CORES, needs(liveCount, need), candidate, 40)?.fits as number;
        };
        expect(fits(batchCount + 1, needCores)).toBeLessThanOrEqual(fits(batchCount, needCores));
        expect(fits(batchCount, 1.2 * needCores)).toBeLessThanOrEqual(fits(batchCount, needCores));
      }),
    );
  });

  it("places a further stream beside the one that it is like", () => {
    const job = (name: string, path: string) => ({ name, path, threadsFile: "tasks", pid: 1 });
    const loose = { name: "loose", weight: 200, demandCores: 2 };
    const session = group("/autogroup-7", { isAutogroup: true, threads: [{ ...loose, name: "session" }] });
    const owner = group("/owner", { threads: [loose], children: [busy("/owner/job", { weight: 1000 })] });
    const root = group("", { children: [session, owner] });
    expect(placeIn(root, job("own", "/owner/job"))).toEqual({
      name: "/owner/job",
      parent: "/owner",
      weight: 1000,
    });
    expect(placeIn(root, job("loose", "/other"))).toEqual({ name: "loose", parent: "/owner", weight: 100 });
    expect(placeIn(root, job("session", "/other"))).toEqual({ name: "session", parent: "", weight: 100 });
    expect(placeIn(root, job("gone", "/gone"))).toBeUndefined();
  });
});
