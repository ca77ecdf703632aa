import { IO_RATES, type IoMax } from "../../../limits/grammar.ts";
import type { CgroupController } from "../controller.ts";
import { addIoOperations, type CgroupDirectory, readCgroupFile } from "../file.ts";
import { ioMaxFiles, UNLIMITED_RATES } from "../ioMax.ts";
import { ioWeightFiles } from "../ioWeight.ts";
import type { FileWrite } from "../limitFiles.ts";
import { DEVICE_WORDS, usageV1 } from "./usage.ts";

const FILES = {
  rbps: "blkio.throttle.read_bps_device",
  wbps: "blkio.throttle.write_bps_device",
  riops: "blkio.throttle.read_iops_device",
  wiops: "blkio.throttle.write_iops_device",
} as const;

const MAX_OPERATIONS = 2 ** 32 - 1;

/** cgroup v1 `blkio`: Documentation/admin-guide/cgroup-v1/blkio-controller.rst. */
export const blkio: CgroupController = {
  name: "blkio",
  limits: {
    "io.max": ioMaxFiles({ read: readRates, writes: rateWrites }),
    "io.weight": ioWeightFiles(1),
  },
  usage: usageV1.blkio,
  counters(directory, known) {
    const { ioReadBytes, ioWriteBytes } = usageV1.blkio(directory);
    known.ioReadBytes ??= ioReadBytes;
    known.ioWriteBytes ??= ioWriteBytes;
  },
  details: (directory, known) =>
    addIoOperations(directory, "blkio.throttle.io_serviced_recursive", DEVICE_WORDS, known),
  unavailable(origin) {
    const held = Object.values(FILES).find((file) => readCgroupFile(origin, file));
    return held && `${origin.path}/${held} throttles it, and on cgroup v1 a child would escape that`;
  },
};

function rateWrites(max: IoMax): FileWrite[] {
  return IO_RATES.flatMap((rate) => {
    const value = max[rate];
    if (value === undefined) return [];
    // 0 removes a rule: v1 has no word for "no limit". Operations are kept in 32 bits, of which the highest value means
    // none. The kernel cuts larger values off silently: 2^32 would become a limit of 0, and stop all I/O.
    const isUnlimited = value === "max" || (rate.endsWith("iops") && value >= MAX_OPERATIONS);
    return [{ file: FILES[rate], data: `${max.device} ${isUnlimited ? 0 : value}` }];
  });
}

// 254:0 1048576
function readRates(directory: CgroupDirectory): Required<IoMax>[] {
  const byDevice = new Map<string, Required<IoMax>>();
  for (const rate of IO_RATES) {
    const lines = (readCgroupFile(directory, FILES[rate]) ?? "").matchAll(/^(\S+) (\d+)$/gm);
    for (const [, device = "", value] of lines) {
      const known = byDevice.get(device) ?? { device, ...UNLIMITED_RATES };
      byDevice.set(device, { ...known, [rate]: Number(value) });
    }
  }
  return [...byDevice.values()];
}
