import type { Bus } from "../systemdBus.ts";
import { parseUnitPlace, userOfManager } from "./unitPath.ts";

/**
 * Properties that systemd enforces with BPF programs on the cgroup, which no cgroup file shows:
 * systemd.resource-control(5).
 */
const FILTERS = [
  ...["DevicePolicy", "DeviceAllow", "IPAddressAllow", "IPAddressDeny"],
  ...["IPIngressFilterPath", "IPEgressFilterPath", "RestrictNetworkInterfaces"],
  ...["SocketBindAllow", "SocketBindDeny", "BPFProgram"],
] as const;

// s "auto"
// a(iayu) 0
// (bas) false 0
const IS_UNSET = /^(s "auto"|as 0|a\([a-z]+\) 0|\(bas\) (true|false) 0)$/;

/**
 * Returns why a process must not leave the unit of a cgroup: the unit restricts devices or addresses, and a
 * scope would not. `undefined` without such restrictions. When systemd does not answer, the unit counts as
 * restricted.
 */
export function findUnitFilters(bus: Bus, cgroupPath: string): string | undefined {
  const place = parseUnitPlace(cgroupPath);
  // Units of a user's manager stay below the unit of that manager, and so under its restrictions.
  if (!place || userOfManager(place.unit) !== undefined) return undefined;
  const { unit } = place;
  const type = unit.endsWith(".scope") ? "Scope" : "Service";
  const answer = bus.readProperties("system", unit, type, [...FILTERS]);
  if ("reason" in answer) return `the restrictions of ${unit} cannot be read: ${answer.reason}`;
  const lines = answer.answer.split("\n");
  const set = FILTERS.filter((_, index) => !IS_UNSET.test(lines[index] ?? ""));
  if (set.length === 0) return undefined;
  return `${unit} sets ${set.join(", ")}, which a scope would not enforce`;
}
