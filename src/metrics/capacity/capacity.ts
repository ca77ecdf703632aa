import { type ShareGroup, sharesOf } from "../shares/model.ts";
import type { JobInTree } from "../shares/treeReading.ts";

/** The part of the cores that streams may need together: above it, they wait for each other. */
export const USABLE = 0.9;

/** A limit on how many more streams fit. */
export interface Bound {
  readonly kind: "cores" | "tenant" | "weights";
  /** The cores that all streams under the limit may need together. */
  readonly limitCores: number;
  /** The cores that those which run now need together. */
  readonly usedCores: number;
  /** The number of further streams. */
  readonly fits: number;
}

/** Returns a bound on the sum of all needs. */
export function boundOf(
  kind: Bound["kind"],
  limitCores: number,
  usedCores: number,
  candidateCores: number,
): Bound {
  const fits = Math.max(0, Math.floor((limitCores - usedCores) / candidateCores + 1e-9));
  return { kind, limitCores, usedCores, fits };
}

/** A stream that runs, with its place in the tree, and what it needs at the peak of all streams. */
export interface PlacedNeed {
  readonly name: string;
  readonly needCores: number;
}

/** Where further streams would run: beside which cgroup, with which weight. */
export interface Place {
  /** The path of the cgroup around the new ones. */
  readonly parent: string;
  readonly weight: number;
}

/**
 * Returns how many more streams get what they need when everything else is busy, while each stream that runs still gets what
 * it needs. `null`: the place is not in the tree. `most`: more are not tried.
 */
export function weightsBound(
  root: ShareGroup,
  cores: number,
  needs: readonly PlacedNeed[],
  candidate: { needCores: number; place: Place },
  most: number,
): Bound | null {
  if (!has(root, candidate.place.parent)) return null;
  const needOf = new Map(needs.map(({ name, needCores }) => [name, needCores]));
  const usedCores = needs.reduce((sum, { needCores }) => sum + needCores, 0);
  const fit = (count: number): boolean => {
    const shares = sharesOf(withStreams(root, needOf, candidate, count), cores);
    const isEnough = (name: string, need: number) => (shares.get(name) ?? 0) >= need * (1 - 1e-6);
    const names = Array.from({ length: count }, (_, index) => nameOf(index));
    return (
      needs.every(({ name, needCores }) => isEnough(name, needCores)) &&
      names.every((name) => isEnough(name, candidate.needCores))
    );
  };
  // More streams never leave more for one, so that the numbers which fit end somewhere.
  let [fits, tooMany] = [0, most + 1];
  while (tooMany - fits > 1) {
    const middle = Math.floor((fits + tooMany) / 2);
    if (fit(middle)) fits = middle;
    else tooMany = middle;
  }
  const limitCores = sureTogether(root, cores, needs, candidate.place, Math.max(fits, 1));
  return { kind: "weights", limitCores, usedCores, fits };
}

/** Returns the cores that all streams get together when each of them, too, uses all that it can. */
function sureTogether(
  root: ShareGroup,
  cores: number,
  needs: readonly PlacedNeed[],
  place: Place,
  count: number,
): number {
  const shares = sharesOf(withStreams(root, new Map(), { needCores: cores, place }, count), cores);
  const names = [...needs.map(({ name }) => name), ...Array.from({ length: count }, (_, n) => nameOf(n))];
  return names.reduce((sum, name) => sum + (shares.get(name) ?? 0), 0);
}

/** No path of a cgroup has this form. */
function nameOf(index: number): string {
  return `(new ${index})`;
}

function has({ path, children }: ShareGroup, wanted: string): boolean {
  return path === wanted || children.some((child) => has(child, wanted));
}

/** Returns the tree with these needs in place of the demands of their groups, and with new streams. */
function withStreams(
  group: ShareGroup,
  needOf: ReadonlyMap<string, number>,
  candidate: { needCores: number; place: Place },
  count: number,
): ShareGroup {
  const need = needOf.get(group.path);
  const { needCores, place } = candidate;
  const added =
    group.path === place.parent
      ? Array.from({ length: count }, (_, index): ShareGroup => {
          const threads = [{ weight: 100, demandCores: needCores }];
          const none = { quotaCores: null, cpus: null, children: [] };
          return { path: nameOf(index), weight: place.weight, ...none, threads };
        })
      : [];
  const children = group.children.map((child) => withStreams(child, needOf, candidate, count));
  const threads = group.threads.map((each) => {
    const own = needOf.get(each.name ?? "");
    return own === undefined ? each : { ...each, demandCores: own };
  });
  if (need !== undefined) return { ...group, threads: [{ weight: 100, demandCores: need }], children: [] };
  return { ...group, threads, children: [...children, ...added] };
}

/**
 * Returns where a job is in the tree, and where others like it would be. A stream without a cgroup for CPU time competes with
 * its threads; a further one counts as one thread, or as the autogroup of its session. `undefined`: it is not in the tree.
 */
export function placeIn(
  root: ShareGroup,
  job: JobInTree | undefined,
): (Place & { name: string }) | undefined {
  if (job === undefined) return undefined;
  const search = (group: ShareGroup, above: ShareGroup): (Place & { name: string }) | undefined => {
    if (group.path === job.path) return { name: job.path, parent: above.path, weight: group.weight };
    if (group.threads.some(({ name }) => name === job.name)) {
      const parent = group.isAutogroup ? above : group;
      return { name: job.name, parent: parent.path, weight: 100 };
    }
    for (const child of group.children) {
      const found = search(child, group);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return search(root, root);
}
