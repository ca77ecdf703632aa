import { IO_RATES, type IoMax, ioMaxText, wantedText } from "../../limits.ts";
import type { CgroupController } from "../controller.ts";
import { readKnob, writeKnob } from "../knob.ts";

/** cgroup v2 `io`: Documentation/admin-guide/cgroup-v2.rst. */
export const io: CgroupController = {
  name: "io",
  measures: true,
  apply: {
    "io.max"(directory, { ioMax = [] }) {
      const wanted = wantedText({ ioMax }, "io.max") as string;
      for (const max of ioMax) {
        const write = writeKnob(directory, "io.max", ioMaxText(max));
        if ("refusal" in write)
          return { limit: "io.max", outcome: "refused", wanted, because: write.refusal };
      }
      const held = readKnob(directory, "io.max") ?? "";
      const actual = ioMax.map((max) => ioMaxText(readRates(held, max))).join(", ");
      if (actual === wanted) return { limit: "io.max", outcome: "applied", wanted, actual };
      return { limit: "io.max", outcome: "partial", wanted, actual, because: `the kernel holds ${actual}` };
    },
  },
  usage(directory) {
    const text = readKnob(directory, "io.stat");
    if (text === undefined) return { ioReadBytes: null, ioWriteBytes: null };
    return { ioReadBytes: sum(text, "rbytes"), ioWriteBytes: sum(text, "wbytes") };
  },
};

// 8:0 rbps=1048576 wbps=max riops=max wiops=max
function readRates(text: string, max: IoMax): IoMax {
  const actual: IoMax = { device: max.device };
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${max.device} `));
  for (const rate of IO_RATES) {
    if (max[rate] === undefined) continue;
    const value = line?.match(new RegExp(`${rate}=(\\S+)`))?.[1];
    actual[rate] = value === undefined || value === "max" ? "max" : Number(value);
  }
  return actual;
}

// 8:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0
function sum(text: string, name: string): number {
  return [...text.matchAll(new RegExp(`\\b${name}=(\\d+)`, "g"))].reduce(
    (total, [, bytes]) => total + Number(bytes),
    0,
  );
}
