import { IO_RATES, type IoMax } from "../../../limits/limits.ts";
import type { LimitOutcome } from "../../../limits/outcome.ts";
import { ioMaxText, wantedText } from "../../../limits/table.ts";
import type { CgroupController, CgroupDirectory } from "../controller.ts";
import { readCgroupFile, type WriteResult, writeCgroupFile } from "../file.ts";

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
  apply: {
    "io.max"(directory, { ioMax = [] }) {
      const wanted = wantedText({ ioMax }, "io.max") as string;
      const refusals = ioMax.flatMap((max) => writeRates(directory, max));
      if (refusals.length > 0)
        return { limit: "io.max", outcome: "refused", wanted, because: refusals.join("; ") };
      return judge(wanted, ioMax, (max) => readRates(directory, max));
    },
  },
  lift: { "io.max": liftRates },
  read(directory) {
    const devices = Object.values(FILES).flatMap((file) =>
      (readCgroupFile(directory, file) ?? "").split("\n").flatMap((line) => line.split(" ")[0] || []),
    );
    const ioMax = [...new Set(devices)].map((device) =>
      readRates(directory, { device, rbps: "max", wbps: "max", riops: "max", wiops: "max" }),
    );
    return ioMax.length === 0 ? {} : { ioMax };
  },
  // v1 throttling looks at a process's own cgroup alone, never at its parents.
  inherited: [],
  usage(directory) {
    return readIoBytes(readCgroupFile(directory, "blkio.throttle.io_service_bytes_recursive"));
  },
  unavailable(origin) {
    const held = Object.values(FILES).find((file) => readCgroupFile(origin, file));
    return held && `${origin.path}/${held} throttles it, and on cgroup v1 a child would escape that`;
  },
};

function liftRates(directory: CgroupDirectory): WriteResult {
  for (const file of Object.values(FILES)) {
    for (const line of (readCgroupFile(directory, file) ?? "").split("\n").filter(Boolean)) {
      const write = writeCgroupFile(directory, file, `${line.split(" ")[0]} 0`);
      if ("refusal" in write) return write;
    }
  }
  return { readBack: "" };
}

function writeRates(directory: CgroupDirectory, max: IoMax): string[] {
  return IO_RATES.flatMap((rate) => {
    const value = max[rate];
    if (value === undefined) return [];
    // 0 takes a rule away: v1 has no word for "no limit". Operations are kept in 32 bits, of which the highest means
    // none, and what is larger is cut off without a word: 2^32 would become a limit of 0, and stop all I/O.
    const isUnlimited = value === "max" || (rate.endsWith("iops") && value >= MAX_OPERATIONS);
    const write = writeCgroupFile(directory, FILES[rate], `${max.device} ${isUnlimited ? 0 : value}`);
    return "refusal" in write ? [write.refusal] : [];
  });
}

// 254:0 1048576
function readRates(directory: CgroupDirectory, max: IoMax): IoMax {
  const actual: IoMax = { device: max.device };
  for (const rate of IO_RATES) {
    if (max[rate] === undefined) continue;
    const lines = (readCgroupFile(directory, FILES[rate]) ?? "").split("\n").map((line) => line.split(" "));
    const value = lines.find(([device]) => device === max.device)?.[1];
    actual[rate] = value === undefined ? "max" : Number(value);
  }
  return actual;
}

function judge(wanted: string, ioMax: IoMax[], read: (max: IoMax) => IoMax): LimitOutcome {
  const actual = ioMax.map((max) => ioMaxText(read(max))).join(", ");
  if (actual === wanted) return { limit: "io.max", outcome: "applied", wanted, actual };
  return { limit: "io.max", outcome: "partial", wanted, actual, because: `the kernel holds ${actual}` };
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
