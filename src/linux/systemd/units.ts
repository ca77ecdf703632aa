import type { BusValue } from "../dbus/wire.ts";
import type { Bus } from "../systemdBus.ts";

export interface UnitPlace {
  /** The cgroup path of the slice of the unit; `/` without a slice. */
  slicePath: string;
  /** `system.slice`; `-.slice` for the root slice. */
  slice: string;
  /** `nginx.service`, `session-3.scope`. */
  unit: string;
  /** The parts of the path below the unit, which the owner of a delegated unit created. Empty for the unit itself. */
  below: string[];
}

/** Parses a cgroup path. `undefined` when it contains no unit: it is a slice, or not a path of systemd. */
// /system.slice/nginx.service
// /user.slice/user-1000.slice/user@1000.service/app.slice/app-ffmpeg.scope
export function parseUnitPlace(cgroupPath: string): UnitPlace | undefined {
  const parts = cgroupPath.split("/").filter(Boolean);
  const index = parts.findIndex((part) => !part.endsWith(".slice"));
  const unit = parts[index];
  if (unit === undefined || !/\.(service|scope|socket|mount|swap)$/.test(unit)) return undefined;
  const slices = parts.slice(0, index);
  return {
    slicePath: `/${slices.join("/")}`,
    slice: slices.at(-1) ?? "-.slice",
    unit,
    below: parts.slice(index + 1),
  };
}

/** Returns the uid of a user's manager, such as `user@1000.service`; `undefined` for any other unit. */
export function userOfManager(unit: string): number | undefined {
  const uid = /^user@(\d+)\.service$/.exec(unit)?.[1];
  return uid === undefined ? undefined : Number(uid);
}

/** Properties that systemd enforces with BPF programs, which no cgroup file shows: systemd.resource-control(5). */
const FILTERS = [
  ...["DevicePolicy", "DeviceAllow", "IPAddressAllow", "IPAddressDeny"],
  ...["IPIngressFilterPath", "IPEgressFilterPath", "RestrictNetworkInterfaces"],
  ...["SocketBindAllow", "SocketBindDeny", "BPFProgram"],
] as const;

/** `"auto"`, an empty list, or an empty list behind a switch: the type `(bas)`. */
function isUnset(value: BusValue | undefined): boolean {
  if (value === "auto") return true;
  if (!Array.isArray(value)) return false;
  const list = typeof value[0] === "boolean" ? value[1] : value;
  return Array.isArray(list) && list.length === 0;
}

/**
 * Returns why a process must not leave the unit of a cgroup: the unit restricts devices or addresses, and a scope would
 * not. `undefined` without such restrictions. When systemd does not answer, the unit counts as restricted.
 */
export function findUnitFilters(bus: Bus, cgroupPath: string): string | undefined {
  const place = parseUnitPlace(cgroupPath);
  // Units of a user's manager stay below the unit of that manager, and so under its restrictions.
  if (!place || userOfManager(place.unit) !== undefined) return undefined;
  const { unit } = place;
  const type = unit.endsWith(".scope") ? "Scope" : "Service";
  const answer = bus.readProperties("system", unit, type, [...FILTERS]);
  if ("reason" in answer) return `the restrictions of ${unit} cannot be read: ${answer.reason}`;
  const set = FILTERS.filter((_, index) => !isUnset(answer.values[index]));
  if (set.length === 0) return undefined;
  return `${unit} sets ${set.join(", ")}, which a scope would not enforce`;
}
