import { IO_RATES, type IoMax } from "../../../limits/limits.ts";
import { ioMaxText, wantedText } from "../../../limits/table.ts";
import type { CgroupController, CgroupDirectory } from "../controller.ts";
import { readCgroupFile, tightestAbove, type WriteResult, writeCgroupFile } from "../file.ts";

/** cgroup v2 `io`: Documentation/admin-guide/cgroup-v2.rst. */
export const io: CgroupController = {
  name: "io",
  measures: true,
  apply: {
    "io.max"(directory, { ioMax = [] }) {
      const wanted = wantedText({ ioMax }, "io.max") as string;
      const plans = ioMax.map((max) => planRates(directory, max));
      for (const { write } of plans) {
        if (IO_RATES.every((rate) => write[rate] === undefined)) continue;
        const knob = writeCgroupFile(directory, "io.max", ioMaxText(write));
        if ("refusal" in knob) return { limit: "io.max", outcome: "refused", wanted, because: knob.refusal };
      }
      const text = readCgroupFile(directory, "io.max") ?? "";
      const asked = plans.map(({ write, held }) => ({ ...held, ...write }));
      const actual = plans.map(({ write, held }) => ({ ...held, ...readRates(text, write) }));
      const reasons = plans.flatMap(({ because }) => because);
      const result = { limit: "io.max", wanted, actual: textOf(actual) } as const;
      if (textOf(actual) !== textOf(asked)) {
        const because = [`the kernel holds ${textOf(actual)}`, ...reasons].join("; ");
        return { ...result, outcome: "partial", because };
      }
      return { ...result, outcome: "applied", ...(reasons.length > 0 && { because: reasons.join("; ") }) };
    },
  },
  lift: { "io.max": liftRates },
  read(directory) {
    const lines = (readCgroupFile(directory, "io.max") ?? "").split("\n").filter(Boolean);
    const ioMax = lines.map((line) => {
      const device = line.slice(0, line.indexOf(" "));
      return readRates(line, { device, rbps: "max", wbps: "max", riops: "max", wiops: "max" });
    });
    return ioMax.length === 0 ? {} : { ioMax };
  },
  inherited: ["io.max"],
  forgets: ["ioReadBytes", "ioWriteBytes"],
  usage(directory) {
    const text = readCgroupFile(directory, "io.stat");
    if (text === undefined) return { ioReadBytes: null, ioWriteBytes: null };
    return { ioReadBytes: sum(text, "rbytes"), ioWriteBytes: sum(text, "wbytes") };
  },
};

function liftRates(directory: CgroupDirectory): WriteResult {
  let last: WriteResult = { readBack: readCgroupFile(directory, "io.max") ?? "" };
  if (last.readBack === "") return last;
  for (const line of last.readBack.split("\n")) {
    const device = line.split(" ")[0] as string;
    last = writeCgroupFile(directory, "io.max", ioMaxText({ device, ...UNLIMITED }));
    if ("refusal" in last) return last;
  }
  return last;
}

const UNLIMITED = { rbps: "max", wbps: "max", riops: "max", wiops: "max" } as const;

/** What of one device's rates is to be written, and what holds already above. */
interface RatePlan {
  write: IoMax;
  held: IoMax;
  because: string[];
}

function planRates(directory: CgroupDirectory, max: IoMax): RatePlan {
  const { device } = max;
  const plan: RatePlan = { write: { device }, held: { device }, because: [] };
  for (const rate of IO_RATES) {
    const value = max[rate];
    if (value === undefined) continue;
    const above = tightestAbove(directory, (ancestor) =>
      readRate(readCgroupFile(ancestor, "io.max") ?? "", device, rate),
    );
    if (above && (value === "max" || above.value <= value)) {
      plan.held[rate] = above.value;
      plan.because.push(`not written: ${above.path} already holds ${device} to ${rate}=${above.value}`);
    } else plan.write[rate] = value;
  }
  return plan;
}

function textOf(ioMax: IoMax[]): string {
  return ioMax.map(ioMaxText).join(", ");
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
