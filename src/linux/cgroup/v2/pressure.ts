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
    cpuPressureUsec: totalIn(readCgroupFile(directory, "cpu.pressure"), "some "),
    memoryPressureUsec: totalIn(readCgroupFile(directory, "memory.pressure"), "some "),
    ioPressureUsec: totalIn(readCgroupFile(directory, "io.pressure"), "some "),
  };
}

/** Reads the same times, and those in which all threads that could have run waited. */
export const pressure: Pick<CgroupController, "usage" | "counters"> = {
  usage: readPressure,
  counters(directory, known) {
    // `full` of the CPU: all threads of the cgroup wait, which a CPU quota causes and nr_throttled counts.
    known.cpuPressureUsec ??= totalIn(readCgroupFile(directory, "cpu.pressure"), "some ");
    const memory = readCgroupFile(directory, "memory.pressure");
    known.memoryPressureUsec ??= totalIn(memory, "some ");
    known.memoryFullPressureUsec ??= totalIn(memory, "full ");
    const io = readCgroupFile(directory, "io.pressure");
    known.ioPressureUsec ??= totalIn(io, "some ");
    known.ioFullPressureUsec ??= totalIn(io, "full ");
  },
};

// some avg10=0.12 avg60=0.02 avg300=0.00 total=83211
// full avg10=0.00 avg60=0.00 avg300=0.00 total=0     ← of the CPU from 5.13
/** Without a regular expression: a sampler reads three of these files of each job each second. */
function totalIn(text: string | undefined, kind: "some " | "full "): number | null {
  const line = text?.indexOf(kind) ?? -1;
  const total = line < 0 ? -1 : (text as string).indexOf(" total=", line);
  return text === undefined || total < 0 ? null : (digitsAt(text, total + " total=".length) ?? null);
}
