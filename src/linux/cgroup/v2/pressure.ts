import type { Usage } from "../../../limits/usage.ts";
import { digitsAt } from "../../../sys/digits.ts";
import type { CgroupController } from "../controller.ts";
import { type CgroupFiles, readCgroupFile } from "../file.ts";

/**
 * Pressure stall information of a cgroup: Documentation/accounting/psi.rst. In every v2 cgroup but the root from 4.20,
 * whatever its controllers; not there where the kernel was built or booted without it (`psi=0`).
 */
export function readPressure(directory: CgroupFiles): Partial<Usage> {
  return {
    cpuPressureUsec: readTotals(directory, "cpu").some,
    memoryPressureUsec: readTotals(directory, "memory").some,
    ioPressureUsec: readTotals(directory, "io").some,
  };
}

/** Reads the same times, and those in which all threads that could have run waited. */
export const pressure: Pick<CgroupController, "usage" | "counters"> = {
  usage: readPressure,
  counters(directory) {
    const [memory, io] = [readTotals(directory, "memory"), readTotals(directory, "io")];
    return {
      // `full` of the CPU: all threads of the cgroup wait, which a CPU quota causes and nr_throttled counts.
      cpuPressureUsec: readTotals(directory, "cpu").some,
      memoryPressureUsec: memory.some,
      memoryFullPressureUsec: memory.full,
      ioPressureUsec: io.some,
      ioFullPressureUsec: io.full,
    };
  },
};

// some avg10=0.12 avg60=0.02 avg300=0.00 total=83211
// full avg10=0.00 avg60=0.00 avg300=0.00 total=0     ← of the CPU from 5.13
function readTotals(directory: CgroupFiles, resource: "cpu" | "memory" | "io") {
  const text = readCgroupFile(directory, `${resource}.pressure`);
  return { some: totalIn(text, "some "), full: totalIn(text, "full ") };
}

/** Without a regular expression: a sampler reads three of these files of each job each second. */
function totalIn(text: string | undefined, kind: "some " | "full "): number | null {
  const line = text?.indexOf(kind) ?? -1;
  const total = line < 0 ? -1 : (text as string).indexOf(" total=", line);
  return text === undefined || total < 0 ? null : (digitsAt(text, total + " total=".length) ?? null);
}
