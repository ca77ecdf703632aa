import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { shareGroup as group } from "../../../test/support/shareGroups.ts";
import { type ShareGroup, sharesOf } from "./model.ts";

const ROUNDING = 1e-9;

const weight = fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.constantFrom(0.29, 1, 100, 1000));
const threads = fc.array(fc.record({ weight, demandCores: fc.double({ min: 0, max: 1, noNaN: true }) }), {
  maxLength: 4,
});
const bound = (max: number) => fc.option(fc.double({ min: 0.01, max, noNaN: true }), { nil: null });

/** A tree of groups, each with a path of its own. */
const tree: fc.Arbitrary<ShareGroup> = treeOf(3).map((root) => withPaths(root, ""));
const cores = fc.integer({ min: 1, max: 16 });

function treeOf(depth: number): fc.Arbitrary<ShareGroup> {
  return fc.record({
    path: fc.constant(""),
    weight,
    quotaCores: bound(4),
    cpus: fc.option(fc.integer({ min: 1, max: 8 }), { nil: null }),
    threads,
    children: depth === 0 ? fc.constant([]) : fc.array(treeOf(depth - 1), { maxLength: 3 }),
  });
}

function withPaths(group: ShareGroup, path: string): ShareGroup {
  return {
    ...group,
    path,
    children: group.children.map((child, index) => withPaths(child, `${path}/${index}`)),
  };
}

function groupsIn(group: ShareGroup): ShareGroup[] {
  return [group, ...group.children.flatMap(groupsIn)];
}

function usableBy({ threads, children, quotaCores, cpus }: ShareGroup): number {
  const sum = [...threads.map((each) => each.demandCores), ...children.map(usableBy)].reduce(
    (a, b) => a + b,
    0,
  );
  return Math.min(sum, quotaCores ?? sum, cpus ?? sum);
}

/** Returns the tree with another weight for the group at a path. */
function reweighted(group: ShareGroup, path: string, by: number): ShareGroup {
  return {
    ...group,
    weight: group.path === path ? group.weight * by : group.weight,
    children: group.children.map((child) => reweighted(child, path, by)),
  };
}

function reversed(group: ShareGroup): ShareGroup {
  return {
    ...group,
    threads: group.threads.toReversed(),
    children: group.children.toReversed().map(reversed),
  };
}

/** A group whose threads could use so many cores. */
const busy = (path: string, demandCores: number, fields: Partial<ShareGroup> = {}) =>
  group(path, { threads: [{ weight: 100, demandCores }], ...fields });

describe("shares", () => {
  it("give no entity more than demand, quota and CPUs, never less than 0, and together at most the cores", () => {
    fc.assert(
      fc.property(tree, cores, (root, count) => {
        const shares = sharesOf(root, count);
        for (const each of groupsIn(root)) {
          const share = shares.get(each.path) as number;
          expect(share).toBeGreaterThanOrEqual(0);
          expect(share).toBeLessThanOrEqual(usableBy(each) + ROUNDING);
          const below = each.children.reduce((sum, child) => sum + (shares.get(child.path) as number), 0);
          expect(below).toBeLessThanOrEqual(share + ROUNDING);
        }
        expect(shares.get("")).toBeLessThanOrEqual(count);
      }),
    );
  });

  it("leave no core unused that a group could use", () => {
    fc.assert(
      fc.property(tree, cores, (root, count) => {
        const shares = sharesOf(root, count);
        expect(shares.get("")).toBeCloseTo(Math.min(count, usableBy(root)), 9);
        for (const each of groupsIn(root)) {
          if (each.threads.length > 0) continue;
          const wanted = each.children.reduce((sum, child) => sum + usableBy(child), 0);
          const given = each.children.reduce((sum, child) => sum + (shares.get(child.path) as number), 0);
          expect(given).toBeCloseTo(Math.min(shares.get(each.path) as number, wanted), 7);
        }
      }),
    );
  });

  it("never shrink with more cores, nor with more weight", () => {
    fc.assert(
      fc.property(
        tree,
        cores,
        fc.nat(),
        fc.double({ min: 1, max: 50, noNaN: true }),
        (root, count, pick, by) => {
          const before = sharesOf(root, count);
          const more = sharesOf(root, count + 1);
          for (const [path, share] of before)
            expect(more.get(path) as number).toBeGreaterThanOrEqual(share - ROUNDING);
          const groups = groupsIn(root);
          const { path } = groups[pick % groups.length] as ShareGroup;
          expect(sharesOf(reweighted(root, path, by), count).get(path)).toBeGreaterThanOrEqual(
            (before.get(path) as number) - ROUNDING,
          );
        },
      ),
    );
  });

  it("do not depend on the order of groups and threads", () => {
    fc.assert(
      fc.property(tree, cores, (root, count) => {
        const other = sharesOf(reversed(root), count);
        for (const [path, share] of sharesOf(root, count)) expect(other.get(path)).toBeCloseTo(share, 7);
      }),
    );
  });

  it("count a group as one entity, whatever number of threads it has", () => {
    const root = group("", { children: [busy("/one", 1), busy("/many", 30)] });
    expect(sharesOf(root, 2).get("/one")).toBe(1);
    expect(sharesOf(root, 1).get("/one")).toBe(0.5);
  });

  it("count each thread beside a group by itself", () => {
    const loose = Array.from({ length: 9 }, () => ({ weight: 100, demandCores: 1 }));
    const root = group("", { threads: loose, children: [busy("/job", 4)] });
    expect(sharesOf(root, 2).get("/job")).toBeCloseTo(0.2, 9);
  });

  it("let the weight count among siblings only", () => {
    const leaf = busy("/owner/job", 4, { weight: 10_000 });
    const root = group("", { children: [group("/owner", { children: [leaf] }), busy("/other", 4)] });
    expect(sharesOf(root, 2).get("/owner/job")).toBe(1);
  });

  it("divide again what a quota leaves", () => {
    const root = group("", { children: [busy("/a", 4, { quotaCores: 0.2 }), busy("/b", 4)] });
    expect(sharesOf(root, 2)).toEqual(
      new Map([
        ["", 2],
        ["/a", 0.2],
        ["/b", 1.8],
      ]),
    );
  });
});

it("adds up the parts of a process that has threads in several groups", () => {
  const threads = [{ name: "encoder", weight: 100, demandCores: 1 }];
  const children = [group("/a", { threads }), group("/b", { threads, weight: 300 })];
  expect(sharesOf(group("", { threads, children }), 2).get("encoder")).toBeCloseTo(2, 9);
});
