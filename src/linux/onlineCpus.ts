import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseCpuList } from "../limits/grammar.ts";

/** Returns the CPUs of the machine that are online, as `0-3`; `undefined` where that cannot be read. */
export function readOnlineCpus(): string | undefined {
  try {
    return readFileSync("/sys/devices/system/cpu/online", "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Counts them. Where they cannot be read, counts those that this process may use. */
export function countOnlineCpus(): number {
  return parseCpuList(readOnlineCpus() ?? "")?.length ?? availableParallelism();
}
