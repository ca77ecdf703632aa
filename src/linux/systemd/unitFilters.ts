import type { Bus } from "../systemdBus.ts";
import { parseUnitPlace, userOfManager } from "./unitPath.ts";

/** What systemd holds a unit's processes to by programs on its cgroup, which no cgroup file shows: systemd.resource-control(5). */
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
 * Why a process may not leave the unit that a cgroup belongs to: it would escape which devices and addresses that allows
 * it. `undefined` when there is no such thing. What cannot be asked counts as held.
 */
export function findUnitFilters(bus: Bus, cgroupPath: string): string | undefined {
  const place = parseUnitPlace(cgroupPath);
  // What a user's own manager starts stays below it, and so under what holds it.
  if (!place || userOfManager(place.unit) !== undefined) return undefined;
  const { unit } = place;
  const type = unit.endsWith(".scope") ? "Scope" : "Service";
  const answer = bus.readProperties("system", unit, type, [...FILTERS]);
  if ("reason" in answer) return `it is not known what else holds ${unit}: ${answer.reason}`;
  const lines = answer.answer.split("\n");
  const held = FILTERS.filter((_, index) => !IS_UNSET.test(lines[index] ?? ""));
  if (held.length === 0) return undefined;
  return `${unit} sets ${held.join(", ")}, which would not hold in a scope`;
}
