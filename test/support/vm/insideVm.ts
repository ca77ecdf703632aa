import { readFileSync } from "node:fs";
import { testIf } from "../sandbox.ts";

/** Why a test that takes systemd and the whole of cgroup v2 cannot be tried here; `undefined` in our virtual machine. */
function lacksVm(): string | undefined {
  if (process.env["FFRTMP_VM"] === undefined) return "needs the virtual machine: scripts/vm.sh test";
  const init = readFileSync("/proc/1/comm", "utf8").trim();
  return init === "systemd" ? undefined : `needs systemd, and PID 1 is ${init}`;
}

/** A test that may do to its machine what it likes: units, users and cgroups are its own. */
export const vmTest = testIf(lacksVm());

/** Whether a pidfd of this kernel tells how a process ended that its parent has collected: Linux 6.15 and later. */
export const pidfdsKeepRecords = process.env["FFRTMP_VM"] === "6.17";
