import type { IoMax } from "../../../limits/grammar.ts";
import { formatIoMax, IO_RATES } from "../../../limits/grammar.ts";
import { formatLimit } from "../../../limits/limits.ts";
import { tightestAbove } from "../constraints.ts";
import type { CgroupController } from "../controller.ts";
import { type CgroupDirectory, readCgroupFile } from "../file.ts";
import type { FileWrite } from "../limitPlan.ts";

/** cgroup v2 `io`: Documentation/admin-guide/cgroup-v2.rst. */
export const io: CgroupController = {
  name: "io",
  measures: true,
  plan: {
    "io.max"(directory, { ioMax = [] }) {
      const wanted = formatLimit({ ioMax }, "io.max") as string;
      const plans = ioMax.map((max) => planRates(directory, max));
      const reasons = plans.flatMap(({ because }) => because);
      const written = plans.filter(({ write }) => IO_RATES.some((rate) => write[rate] !== undefined));
      return {
        writes: written.map(({ write }): FileWrite => ({ file: "io.max", data: formatIoMax(write) })),
        verify(directory) {
          const text = readCgroupFile(directory, "io.max") ?? "";
          const asked = textOf(plans.map(({ write, above }) => ({ ...above, ...write })));
          const actual = textOf(plans.map(({ write, above }) => ({ ...above, ...readRates(text, write) })));
          const result = { limit: "io.max", wanted, actual } as const;
          if (actual !== asked) {
            const because = [`the kernel holds ${actual}`, ...reasons].join("; ");
            return { ...result, outcome: "partial", because };
          }
          return {
            ...result,
            outcome: "applied",
            ...(reasons.length > 0 && { because: reasons.join("; ") }),
          };
        },
      };
    },
  },
  lift: {
    "io.max": (directory) =>
      readLines(directory).map(
        ({ device }): FileWrite => ({ file: "io.max", data: formatIoMax({ device, ...UNLIMITED }) }),
      ),
  },
  read(directory) {
    const ioMax = readLines(directory).map(({ device, line }) => readRates(line, { device, ...UNLIMITED }));
    return ioMax.length === 0 ? {} : { ioMax };
  },
  resets: ["ioReadBytes", "ioWriteBytes"],
  usage(directory) {
    const text = readCgroupFile(directory, "io.stat");
    if (text === undefined) return { ioReadBytes: null, ioWriteBytes: null };
    return { ioReadBytes: sum(text, "rbytes"), ioWriteBytes: sum(text, "wbytes") };
  },
};

const UNLIMITED = { rbps: "max", wbps: "max", riops: "max", wiops: "max" } as const;

/** One device's rates: those to write, and those that an ancestor limits already. */
interface RatePlan {
  write: IoMax;
  above: IoMax;
  because: string[];
}

function planRates(directory: CgroupDirectory, max: IoMax): RatePlan {
  const { device } = max;
  const plan: RatePlan = { write: { device }, above: { device }, because: [] };
  for (const rate of IO_RATES) {
    const value = max[rate];
    if (value === undefined) continue;
    const above = tightestAbove(directory, (ancestor) =>
      readRate(readCgroupFile(ancestor, "io.max") ?? "", device, rate),
    );
    if (above && (value === "max" || above.value <= value)) {
      plan.above[rate] = above.value;
      plan.because.push(`not written: ${above.path} already holds ${device} to ${rate}=${above.value}`);
    } else plan.write[rate] = value;
  }
  return plan;
}

function textOf(ioMax: IoMax[]): string {
  return ioMax.map(formatIoMax).join(", ");
}

function readLines(directory: CgroupDirectory): { device: string; line: string }[] {
  const lines = (readCgroupFile(directory, "io.max") ?? "").split("\n").filter(Boolean);
  return lines.map((line) => ({ device: line.slice(0, line.indexOf(" ")), line }));
}

function readRates(text: string, max: IoMax): IoMax {
  const actual: IoMax = { device: max.device };
  for (const rate of IO_RATES) {
    if (max[rate] !== undefined) actual[rate] = readRate(text, max.device, rate) ?? "max";
  }
  return actual;
}

// 8:0 rbps=1048576 wbps=max riops=max wiops=max
function readRate(text: string, device: string, rate: string): number | undefined {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${device} `));
  const value = line?.match(new RegExp(`\\b${rate}=(\\d+)`))?.[1];
  return value === undefined ? undefined : Number(value);
}

// 8:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0
function sum(text: string, name: string): number {
  return [...text.matchAll(new RegExp(`\\b${name}=(\\d+)`, "g"))].reduce(
    (total, [, bytes]) => total + Number(bytes),
    0,
  );
}
