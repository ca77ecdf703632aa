import { readFileSync } from "node:fs";
import { testIf } from "../sandbox.ts";

/**
 * Returns the reason why a test with systemd and cgroup v2 cannot run here, or `undefined` in the virtual
 * machine.
 */
export function lacksVm(): string | undefined {
  if (process.env["FFRTMP_VM"] === undefined) return "needs a virtual machine: scripts/vm.sh test";
  const init = readFileSync("/proc/1/comm", "utf8").trim();
  return init === "systemd" ? undefined : `needs systemd, but PID 1 is ${init}`;
}

/** Defines a test that may change its whole machine: units, users and cgroups. */
export const vmTest = testIf(lacksVm());

/**
 * True when pidfds keep the exit code of a process after its parent has collected it: Linux 6.15 and later.
 */
export const pidfdsKeepRecords = process.env["FFRTMP_VM"] === "6.17";
