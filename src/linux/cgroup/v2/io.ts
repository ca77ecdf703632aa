import { formatIoMax, IO_RATES, type IoMax } from "../../../limits/grammar.ts";
import type { CgroupController } from "../controller.ts";
import { addIoOperations, type CgroupDirectory, type DeviceWords, readCgroupFile } from "../file.ts";
import { ioMaxFiles, UNLIMITED_RATES } from "../ioMax.ts";
import { ioWeightFiles } from "../ioWeight.ts";
import { usageV2 } from "./usage.ts";

const OPERATION_WORDS: DeviceWords = { read: " rios=", written: " wios=" };

/** cgroup v2 `io`: Documentation/admin-guide/cgroup-v2.rst. */
export const io: CgroupController = {
  name: "io",
  limits: {
    "io.max": ioMaxFiles({
      read: readRates,
      writes: (max) => [{ file: "io.max", data: formatIoMax(max) }],
    }),
    "io.weight": ioWeightFiles(2),
  },
  resets: ["ioReadBytes", "ioWriteBytes"],
  usage: usageV2.io,
  counters(directory, known) {
    const { ioReadBytes, ioWriteBytes } = usageV2.io(directory);
    known.ioReadBytes ??= ioReadBytes;
    known.ioWriteBytes ??= ioWriteBytes;
  },
  details: (directory, known) => addIoOperations(directory, "io.stat", OPERATION_WORDS, known),
};

// 8:0 rbps=1048576 wbps=max riops=max wiops=max
function readRates(directory: CgroupDirectory): Required<IoMax>[] {
  const lines = (readCgroupFile(directory, "io.max") ?? "").split("\n").filter(Boolean);
  return lines.map((line) => {
    const max: Required<IoMax> = { device: line.slice(0, line.indexOf(" ")), ...UNLIMITED_RATES };
    for (const rate of IO_RATES) {
      const value = line.match(new RegExp(`\\b${rate}=(\\d+)`))?.[1];
      if (value !== undefined) max[rate] = Number(value);
    }
    return max;
  });
}
