import { expect, test } from "bun:test";
import { planGates, type SharingJob } from "./gatePlan.ts";

const live = (path: string): SharingJob => ({
  key: path,
  isLive: true,
  hierarchy: "cpu",
  path,
  weight: 1000,
});
const batch = (path: string, weight = 1): SharingJob => ({ ...live(path), isLive: false, weight });
const open = () => false;

test("between siblings there is no gate", () => {
  expect(planGates([live("/cpu/a"), batch("/cpu/b")], open)).toEqual({ gates: [], closed: new Map() });
});

test("the gate is the child of the lowest common cgroup, on the side of the batch job", () => {
  const { gates } = planGates([live("/cpu/s/live/j1"), batch("/cpu/s/docker/c1/j2")], open);
  expect(gates).toEqual([
    {
      hierarchy: "cpu",
      path: "/cpu/s/docker",
      rival: "/cpu/s/live",
      weight: 1,
      keys: ["/cpu/s/docker/c1/j2"],
    },
  ]);
});

test("live jobs at several levels lead to a gate at each", () => {
  const jobs = [live("/cpu/l"), live("/cpu/d/l"), batch("/cpu/d/c/b")];
  expect(planGates(jobs, open).gates.map(({ path }) => path)).toEqual(["/cpu/d", "/cpu/d/c"]);
});

test("a gate with a live job in it is closed to the one outside", () => {
  const jobs = [live("/cpu/l"), live("/cpu/d/l"), batch("/cpu/d/c/b")];
  const { gates, closed } = planGates(jobs, (gate) => gate === "/cpu/d");
  expect(gates.map(({ path }) => path)).toEqual(["/cpu/d/c"]);
  expect(closed).toEqual(new Map([["/cpu/d/c/b", [{ path: "/cpu/d", rival: "/cpu/l" }]]]));
});

test("several jobs share a gate, which has the highest of their weights", () => {
  const jobs = [live("/cpu/l"), batch("/cpu/c/b1"), batch("/cpu/c/b2", 30)];
  expect(planGates(jobs, open).gates).toEqual([
    { hierarchy: "cpu", path: "/cpu/c", rival: "/cpu/l", weight: 30, keys: ["/cpu/c/b1", "/cpu/c/b2"] },
  ]);
});

test("cgroups whose names begin alike are different ones", () => {
  const { gates } = planGates([live("/cpu/app/j"), batch("/cpu/app-batch/j")], open);
  expect(gates.map(({ path }) => path)).toEqual(["/cpu/app-batch"]);
});

test("without a live job, in another hierarchy or around one another, jobs have no gates", () => {
  for (const jobs of [
    [batch("/cpu/c/b")],
    [{ ...live("/v2/l"), hierarchy: "" }, batch("/cpu/c/b")],
    [live("/cpu/a"), batch("/cpu/a/c/b")],
    [live("/cpu/a/c/l"), batch("/cpu/a")],
  ])
    expect(planGates(jobs, open)).toEqual({ gates: [], closed: new Map() });
});

test("in any tree, no gate is closed, around a live job, or a job's own cgroup", () => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  for (let round = 0; round < 500; round++) {
    const pathOf = (index: number): string =>
      `/cpu/${Array.from({ length: 1 + random(4) }, () => "abc"[random(3)]).join("/")}/j${index}`;
    const jobs = Array.from({ length: 2 + random(5) }, (_, index) =>
      random(2) === 0 ? live(pathOf(index)) : batch(pathOf(index)),
    );
    // As in the system: a live job in the gate is one of the others.
    const holdsOthers = (gate: string): boolean =>
      jobs.some(({ isLive, path }) => isLive && path.startsWith(`${gate}/`)) || gate.endsWith("/c");
    const { gates, closed } = planGates(jobs, holdsOthers);
    for (const { path, keys, weight } of gates) {
      expect(holdsOthers(path)).toBeFalse();
      expect(jobs.map((job) => job.path)).not.toContain(path);
      expect(weight).toBe(1);
      for (const key of keys) expect(key.startsWith(`${path}/`)).toBeTrue();
    }
    for (const [key, each] of closed)
      for (const { path } of each) {
        expect(holdsOthers(path)).toBeTrue();
        expect(key.startsWith(`${path}/`)).toBeTrue();
      }
  }
});
