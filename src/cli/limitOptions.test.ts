import { describe, expect, it } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { Command } from "commander";
import type { Limits } from "../kernel/limits.ts";
import { addLimitOptions, limitsFrom } from "./limitOptions.ts";

function limitsOf(...args: string[]): Limits {
  const command = addLimitOptions(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  command.parse(args, { from: "user" });
  return limitsFrom(command.opts());
}

/** A disk of this machine, as `major:minor`; loops and the like are disks too. */
const disk = existsSync("/sys/dev/block")
  ? readdirSync("/sys/dev/block").find((numbers) => !existsSync(`/sys/dev/block/${numbers}/partition`))
  : undefined;

describe("limit options", () => {
  it("ask for nothing when none is given", () => {
    expect(limitsOf()).toEqual({});
  });

  it("count --cpu-quota in percent of one core", () => {
    expect(limitsOf("--cpu-quota", "50")).toEqual({ cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } });
    expect(limitsOf("--cpu-quota", "1")).toEqual({ cpuMax: { quotaUsec: 1000, periodUsec: 100_000 } });
    expect(limitsOf("--cpu-quota", "250.5")).toEqual({ cpuMax: { quotaUsec: 250_500, periodUsec: 100_000 } });
  });

  it("take --cpu-max as the kernel does, with its usual period and its word for no limit", () => {
    expect(limitsOf("--cpu-max", "20000 50000")).toEqual({
      cpuMax: { quotaUsec: 20_000, periodUsec: 50_000 },
    });
    expect(limitsOf("--cpu-max", "20000")).toEqual({ cpuMax: { quotaUsec: 20_000, periodUsec: 100_000 } });
    expect(limitsOf("--cpu-max", " max  100000 ")).toEqual({
      cpuMax: { quotaUsec: "max", periodUsec: 100_000 },
    });
  });

  it("count --memory-limit in MB of 1024 × 1024 and --memory-max in bytes", () => {
    expect(limitsOf("--memory-limit", "64")).toEqual({ memoryHighBytes: 67_108_864 });
    expect(limitsOf("--memory-max", "67108864")).toEqual({ memoryMaxBytes: 67_108_864 });
    expect(limitsOf("--memory-max", "64M")).toEqual({ memoryMaxBytes: 67_108_864 });
  });

  it.skipIf(disk === undefined)("collect --io-max for several disks, or several times for one", () => {
    expect(limitsOf("--io-max", `${disk} rbps=1M wbps=max`, "--io-max", `${disk} wiops=500`)).toEqual({
      ioMax: [
        { device: disk as string, rbps: 1024 ** 2, wbps: "max" },
        { device: disk as string, wiops: 500 },
      ],
    });
  });

  it.skipIf(disk === undefined)(
    "refuse rates of --io-max that are unknown, doubled, empty or nothing",
    () => {
      for (const rates of ["speed=1", "rbps", "rbps=1 rbps=2", "rbps=", "rbps=0", "rbps=-1", "rbps=1.5M"]) {
        expect(() => limitsOf("--io-max", `${disk} ${rates}`)).toThrow("does not fit");
      }
    },
  );

  it("find the disk behind a path, or say that there is none", () => {
    const hasDisk = existsSync(`/sys/dev/block/${statSync("/").dev >> 8}:${statSync("/").dev & 255}`);
    if (hasDisk) expect(limitsOf("--io-max", "/ rbps=1M").ioMax).toHaveLength(1);
    expect(() => limitsOf("--io-max", "/proc rbps=1M")).toThrow("without a disk of its own");
    expect(() => limitsOf("--io-max", "/no/such/path rbps=1M")).toThrow("/no/such/path does not exist");
  });

  it("take nice values, I/O classes, process counts and lists of CPUs", () => {
    expect(
      limitsOf(
        "--nice",
        "-5",
        "--ionice",
        "best-effort:7",
        "--pids-max",
        "10",
        "--cpus",
        "0-1",
        "--oom-score-adj",
        "-1000",
      ),
    ).toEqual({
      nice: -5,
      ionice: { class: "best-effort", level: 7 },
      pidsMax: 10,
      cpus: "0-1",
      oomScoreAdj: -1000,
    });
    expect(limitsOf("--ionice", "idle")).toEqual({ ionice: { class: "idle", level: 0 } });
    for (const text of ["", "idle:1", "best-effort", "best-effort:8", "none"])
      expect(() => limitsOf("--ionice", text)).toThrow("It is idle, best-effort:0 to best-effort:7");
  });
});
