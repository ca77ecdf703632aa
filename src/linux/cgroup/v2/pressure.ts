import type { Usage } from "../../../limits/usage.ts";
import { type CgroupFiles, readCgroupFile } from "../file.ts";

/**
 * Pressure stall information of a cgroup: Documentation/accounting/psi.rst. In every v2 cgroup but the root from 4.20,
 * whatever its controllers; not there where the kernel was built or booted without it (`psi=0`).
 */
export function readPressure(directory: CgroupFiles): Partial<Usage> {
  return {
    cpuPressureUsec: parseSomeUsec(readCgroupFile(directory, "cpu.pressure")),
    memoryPressureUsec: parseSomeUsec(readCgroupFile(directory, "memory.pressure")),
    ioPressureUsec: parseSomeUsec(readCgroupFile(directory, "io.pressure")),
  };
}

// some avg10=0.12 avg60=0.02 avg300=0.00 total=83211
// full avg10=0.00 avg60=0.00 avg300=0.00 total=0
function parseSomeUsec(text: string | undefined): number | null {
  const total = text?.match(/^some .*\btotal=(\d+)$/m)?.[1];
  return total === undefined ? null : Number(total);
}
