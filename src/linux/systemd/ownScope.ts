import { readMembership } from "../cgroup/hierarchies.ts";
import type { Host } from "../host.ts";
import type { Bus, BusProperty, Manager } from "../systemdBus.ts";
import { findUnitFilters } from "./units.ts";

// What a repeated launch needs too, and nothing that plans: this file is loaded before a workload runs.

/** The longest wait for systemd to move a process after it has accepted the request. */
const EFFECT_TIMEOUT_MS = 5000;
const POLL_MS = 1;

/** A scope to start. */
export interface Scope {
  readonly manager: Manager;
  /** `ffrtmp-1f3a9c-transcode-001.scope` */
  readonly unit: string;
  /** Its properties, without its first process and its description. */
  readonly properties: readonly BusProperty[];
  /** The key of the hierarchy of systemd's units. */
  readonly hierarchy: string;
  /** The path of its cgroup, as in /proc/PID/cgroup. */
  readonly cgroupPath: string;
}

/** A scope that this process starts and enters. */
export interface ScopeEntry extends Scope {
  /** The cgroup that this process leaves, as in /proc/self/cgroup. */
  readonly from: string;
}

/**
 * Moves this process from its unit into a new scope. Returns why that failed; then this process is where it was, or is moved
 * later without harm.
 */
export function enterScope(host: Host, bus: Bus, entry: ScopeEntry, jobId: string): string | undefined {
  return bus.inOneConnection(
    (connected) =>
      findUnitFilters(connected, entry.from) ?? startScopeWith(host, connected, entry, process.pid, jobId),
  );
}

/** Starts the scope of a job with a process in it. Returns why that failed. */
export function startScopeWith(
  host: Host,
  bus: Bus,
  scope: Scope,
  pid: number,
  jobId: string,
): string | undefined {
  return startScope(bus, scope, pid, `ffrtmp job ${jobId}`) ?? awaitMove(host, pid, scope);
}

/**
 * Starts a scope with one process in it. The scope is delegated: systemd changes nothing below it, neither on
 * daemon-reload nor through set-property, and an OOM kill inside does not stop the other processes. systemd removes it even
 * after a failure, so that the name is free again. Returns why systemd refused; `undefined` means only that the start is in
 * progress.
 */
export function startScope(
  bus: Bus,
  { manager, unit, properties }: Pick<Scope, "manager" | "unit" | "properties">,
  pid: number,
  description: string,
): string | undefined {
  return bus.startTransientUnit(manager, unit, [
    ["PIDs", "au", [pid]],
    ["Description", "s", description],
    ...properties,
  ]);
}

/** Waits until the process is in the scope: the answer of the bus comes earlier. */
function awaitMove(host: Host, pid: number, { unit, hierarchy, cgroupPath }: Scope): string | undefined {
  const deadline = performance.now() + EFFECT_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const membership = readMembership(host, pid);
    if (membership === "gone") return `process ${pid} ended before it was in ${unit}`;
    if (membership.get(hierarchy) === cgroupPath) return undefined;
    Bun.sleepSync(POLL_MS);
  }
  return `systemd accepted ${unit}, but moved nothing into ${cgroupPath} within ${EFFECT_TIMEOUT_MS / 1000} s`;
}
