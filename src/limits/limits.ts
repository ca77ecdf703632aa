import type { Property } from "./systemdProperties.ts";
import type { CgroupLimitName, FieldOf, LimitName, ValueOf } from "./table.ts";
import { CGROUP_LIMITS, LIMIT_NAMES, LIMITS } from "./table.ts";

/** The limits of one workload, by the fields of the table. An absent field was not asked for. */
export type Limits = { [N in LimitName as FieldOf<N>]?: ValueOf<N> };

/** The limits of one source, which override those of a more general one, limit by limit. `max` cancels one. */
export type LimitLayer = { readonly [F in keyof Limits]: Limits[F] | "max" };

/** Returns the limits of several sources, of which the most specific is last. */
export function mergeLayers(...layers: readonly (LimitLayer | null | undefined)[]): Limits {
  return Object.fromEntries(Object.entries(combineLayers(...layers)).filter(([, value]) => value !== "max"));
}

/** Returns the layer of several sources together, of which the most specific is last. */
export function combineLayers(...layers: readonly (LimitLayer | null | undefined)[]): LimitLayer {
  const merged: { -readonly [F in keyof LimitLayer]: LimitLayer[F] } = {};
  for (const layer of layers) {
    // Each of them takes the place of the other.
    if (typeof layer?.cpuWeight === "number") delete merged.cpuIdle;
    if (typeof layer?.cpuIdle === "number") delete merged.cpuWeight;
    Object.assign(merged, layer);
  }
  return merged;
}

/** Returns the limits that a layer cancels. */
export function cancelledBy(layer: LimitLayer): LimitName[] {
  return LIMIT_NAMES.filter((name) => layer[LIMITS[name].field] === "max");
}

/** Returns the value of one limit as a person writes it; `undefined` when it was not asked for. */
export function formatLimit(limits: Limits, name: LimitName): string | undefined {
  const { field, format = String } = LIMITS[name];
  const value = limits[field];
  return value === undefined ? undefined : format(value);
}

/** The same for a layer: `max` where it cancels the limit. */
export function formatChange(layer: LimitLayer, name: LimitName): string | undefined {
  return layer[LIMITS[name].field] === "max" ? "max" : formatLimit(mergeLayers(layer), name);
}

export function pickLimits(limits: Limits, names: readonly LimitName[]): Limits {
  const fields = names.map((name) => LIMITS[name].field);
  return Object.fromEntries(
    Object.entries(limits).filter(([field]) => fields.some((each) => each === field)),
  );
}

/** Returns the tighter of both for each limit, and the first of two weights. */
export function tightest(a: Limits, b: Limits): Limits {
  const result: Limits = { ...b, ...a };
  for (const { field, compare } of CGROUP_LIMITS.map((name) => LIMITS[name])) {
    const [own, other] = [a[field], b[field]];
    if (own !== undefined && other !== undefined)
      Object.assign(result, { [field]: compare.tightest(own, other) });
  }
  return result;
}

/** Returns whether `current` restricts a process at least as much as `wanted`. A weight must be equal. */
export function isAsTight(name: CgroupLimitName, current: Limits, wanted: Limits): boolean {
  const { field, compare } = LIMITS[name];
  const value = wanted[field];
  return value === undefined || compare.isAsTight(current[field], value);
}

/** Returns the properties of a systemd unit that set these limits. */
export function propertiesOf(limits: Limits): Property[] {
  return CGROUP_LIMITS.flatMap((name) => {
    const { field, systemd } = LIMITS[name];
    const value = limits[field];
    return value === undefined ? [] : systemd(value);
  });
}
