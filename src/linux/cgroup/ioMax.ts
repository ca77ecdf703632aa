import { formatIoMax, IO_RATES, type IoMax } from "../../limits/grammar.ts";
import { onlyPartly } from "../../limits/outcome.ts";
import { findWholeDisk, listDisks } from "../blockDevice.ts";
import { tightestAbove } from "./constraints.ts";
import type { CgroupDirectory } from "./file.ts";
import { compareReadBack, type FileWrite, type LimitFiles } from "./limitFiles.ts";

export const UNLIMITED_RATES = { rbps: "max", wbps: "max", riops: "max", wiops: "max" } as const;

/** The files in which one cgroup version keeps rates of disks. */
interface RateFiles {
  /** Reads the devices that have a limited rate, with all four rates of each. */
  read(directory: CgroupDirectory): Required<IoMax>[];
  writes(max: IoMax): FileWrite[];
}

export function ioMaxFiles({ read, writes }: RateFiles): LimitFiles<IoMax[]> {
  return {
    plan(directory, asked, wanted) {
      const { present: ioMax, absent } = findDisks(asked);
      if (ioMax.length === 0) {
        const because = [...new Set(absent), disksText()].join("; ");
        return { limit: "io.max", outcome: "refused", wanted, because };
      }
      const plans = ioMax.map((max) => planRates(directory, max, read));
      const reasons = plans.flatMap(({ because }) => because);
      return {
        explain: () => explainRefusal(ioMax),
        writes: plans.flatMap(({ write }) => (Object.keys(write).length > 1 ? writes(write) : [])),
        verify(written) {
          const rates = read(written);
          const asked = textOf(plans.map(({ write, above }) => ({ ...above, ...write })));
          const actual = textOf(plans.map(({ write, above }) => ({ ...above, ...pickRates(rates, write) })));
          const compared = compareReadBack("io.max", wanted, { readBack: actual }, (text) => text === asked);
          const outcome =
            absent.length === 0 ? compared : onlyPartly(compared, [...new Set(absent)].join("; "));
          if (reasons.length === 0) return outcome;
          return { ...outcome, because: [outcome.because ?? [], reasons].flat().join("; ") };
        },
      };
    },
    lift: (directory) =>
      read(directory).flatMap(({ device, ...rates }) => {
        const limited = IO_RATES.filter((rate) => rates[rate] !== "max");
        return writes({ device, ...Object.fromEntries(limited.map((rate) => [rate, "max"])) });
      }),
    read(directory) {
      const ioMax = read(directory);
      return ioMax.length === 0 ? undefined : ioMax;
    },
  };
}

const NUMBERS = /^\d+:\d+$/;

/**
 * Returns the lines whose disk is known by number, and why there is none for the others. A path that had no disk when the
 * limit was asked for may have one by now.
 */
function findDisks(asked: readonly IoMax[]): { present: IoMax[]; absent: string[] } {
  const present: IoMax[] = [];
  const absent: string[] = [];
  for (const max of asked) {
    const found = NUMBERS.test(max.device) ? max : findWholeDisk(max.device);
    if ("device" in found) present.push({ ...max, device: found.device });
    else absent.push(found.reason);
  }
  return { present, absent };
}

/** Returns why the kernel refused rates, where that is a disk that this machine does not have. */
function explainRefusal(ioMax: readonly IoMax[]): string | undefined {
  const reasons = ioMax.flatMap(({ device }) => {
    const found = findWholeDisk(device);
    return "reason" in found ? [found.reason] : [];
  });
  return reasons.length === 0 ? undefined : [...new Set(reasons), disksText()].join("; ");
}

function disksText(): string {
  const disks = listDisks();
  return disks.length === 0 ? "this machine shows no disk" : `this machine has ${disks.join(", ")}`;
}

/** Separates the rates of one device that are to be written from those that a cgroup above limits already. */
function planRates(directory: CgroupDirectory, max: IoMax, read: RateFiles["read"]) {
  const { device } = max;
  const write: IoMax = { device };
  const above: IoMax = { device };
  const because: string[] = [];
  for (const rate of IO_RATES) {
    const value = max[rate];
    if (value === undefined) continue;
    const tightest = tightestAbove(directory, "io.max", (ancestor) => {
      const held = pickRates(read(ancestor), max)[rate];
      return held === "max" ? undefined : held;
    });
    if (tightest && (value === "max" || tightest.value <= value)) {
      above[rate] = tightest.value;
      because.push(`not written: ${tightest.path} already limits ${device} to ${rate}=${tightest.value}`);
    } else write[rate] = value;
  }
  return { write, above, because };
}

/** Returns the rates of a device that `asked` names. */
function pickRates(ioMax: readonly Required<IoMax>[], asked: IoMax): IoMax {
  const rates = ioMax.find(({ device }) => device === asked.device) ?? UNLIMITED_RATES;
  const names = IO_RATES.filter((rate) => asked[rate] !== undefined);
  return { device: asked.device, ...Object.fromEntries(names.map((rate) => [rate, rates[rate]])) };
}

function textOf(ioMax: readonly IoMax[]): string {
  return ioMax.map(formatIoMax).join(", ");
}
