import type { IoMax } from "../../../limits/grammar.ts";
import { formatIoMax, IO_RATES } from "../../../limits/grammar.ts";
import { formatLimit } from "../../../limits/limits.ts";
import type { CgroupController } from "../controller.ts";
import { type CgroupDirectory, readCgroupFile } from "../file.ts";
import { compareReadBack, type FileWrite } from "../limitPlan.ts";

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
  measures: true,
  plan: {
    "io.max"(_directory, { ioMax = [] }) {
      const wanted = formatLimit({ ioMax }, "io.max") as string;
      return {
        writes: ioMax.flatMap(rateWrites),
        verify(directory) {
          const actual = ioMax.map((max) => formatIoMax(readRates(directory, max))).join(", ");
          return compareReadBack("io.max", wanted, { readBack: actual }, (text) => text === wanted);
        },
      };
    },
  },
  lift: {
    "io.max": (directory) =>
      Object.values(FILES).flatMap((file) =>
        readLines(directory, file).map(([device]): FileWrite => ({ file, data: `${device} 0` })),
      ),
  },
  read(directory) {
    const devices = Object.values(FILES).flatMap((file) =>
      readLines(directory, file).flatMap(([device]) => device ?? []),
    );
    const ioMax = [...new Set(devices)].map((device) =>
      readRates(directory, { device, rbps: "max", wbps: "max", riops: "max", wiops: "max" }),
    );
    return ioMax.length === 0 ? {} : { ioMax };
  },
  usage(directory) {
    return readIoBytes(readCgroupFile(directory, "blkio.throttle.io_service_bytes_recursive"));
  },
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
function readRates(directory: CgroupDirectory, max: IoMax): IoMax {
  const actual: IoMax = { device: max.device };
  for (const rate of IO_RATES) {
    if (max[rate] === undefined) continue;
    const value = readLines(directory, FILES[rate]).find(([device]) => device === max.device)?.[1];
    actual[rate] = value === undefined ? "max" : Number(value);
  }
  return actual;
}

function readLines(directory: CgroupDirectory, file: string): string[][] {
  return (readCgroupFile(directory, file) ?? "")
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split(" "));
}

// 254:0 Read 1024
// 254:0 Write 0
// Total 1024
function readIoBytes(text: string | undefined): { ioReadBytes: number | null; ioWriteBytes: number | null } {
  if (text === undefined) return { ioReadBytes: null, ioWriteBytes: null };
  const sum = (operation: string): number =>
    text
      .split("\n")
      .map((line) => line.split(" "))
      .filter(([, name]) => name === operation)
      .reduce((total, [, , bytes]) => total + Number(bytes), 0);
  return { ioReadBytes: sum("Read"), ioWriteBytes: sum("Write") };
}
