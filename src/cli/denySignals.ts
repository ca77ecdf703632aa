import { installSignalFilter } from "../sys/seccomp.ts";
import { warn } from "./output/messages.ts";

/**
 * Makes the kernel refuse every attempt of this process to signal, trace or inspect another one, and warns if
 * that fails. Not for a process that will start a workload, which would inherit the filter.
 */
export function denySignals(): void {
  const filter = installSignalFilter();
  if (filter.outcome === "applied") return;
  warn(`cannot install the signal filter (${filter.reason}); ffrtmp still sends no signals to workloads`);
}
