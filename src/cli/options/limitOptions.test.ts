import { describe, expect, it } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { Command } from "commander";
import { type Limits, mergeLayers } from "../../limits/limits.ts";
import { SPELLINGS, type Spelling } from "../../limits/spellings.ts";
import { LIMITS } from "../../limits/table.ts";
import { loadPolicy } from "../../policy/file/loadPolicy.ts";
import { addLimitOptions, limitsFrom, takeLikelyMistakes } from "./limitOptions.ts";

function limitsOf(...args: string[]): Limits {
  const command = addLimitOptions(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  command.parse(args, { from: "user" });
  return limitsFrom(command.opts());
}

/** A disk of this machine, as `major:minor`; loop devices are disks too. */
const disk = existsSync("/sys/dev/block")
  ? readdirSync("/sys/dev/block").find((numbers) => !existsSync(`/sys/dev/block/${numbers}/partition`))
  : undefined;
if (disk === undefined) console.log("not tried: --io-max: this machine shows no disk");

const { dev } = statSync("/");
const isRootOnDisk = existsSync(`/sys/dev/block/${dev >> 8}:${dev & 255}`);
if (!isRootOnDisk) console.log("not tried: --io-max with a path: the root file system is on no disk");

describe("limit options", () => {
  it("ask for nothing when none is given", () => {
    expect(limitsOf()).toEqual({});
  });

  it("count --cpu-quota in percent of one core", () => {
    expect(limitsOf("--cpu-quota", "50")).toEqual({ cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } });
    expect(limitsOf("--cpu-quota", "1")).toEqual({ cpuMax: { quotaUsec: 1000, periodUsec: 100_000 } });
    expect(limitsOf("--cpu-quota", "250.5")).toEqual({ cpuMax: { quotaUsec: 250_500, periodUsec: 100_000 } });
  });

  it("accept --cpu-max as the kernel does, with its default period and max", () => {
    expect(limitsOf("--cpu-max", "20000 50000")).toEqual({
      cpuMax: { quotaUsec: 20_000, periodUsec: 50_000 },
    });
    expect(limitsOf("--cpu-max", "20000")).toEqual({ cpuMax: { quotaUsec: 20_000, periodUsec: 100_000 } });
    expect(limitsOf("--cpu-max", " max  100000 ")).toEqual({});
  });

  it("count --memory-limit in MiB and --memory-max in bytes", () => {
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
      for (const [rates, fault] of [
        ["speed=1", 'It has "speed=1", which is none of rbps=, wbps=, riops=, wiops='],
        ["rbps", 'It has "rbps", which is none of'],
        ["rbps=1 rbps=2", "It has rbps twice"],
        ["rbps=", 'It has "rbps=", whose rate is not a size'],
        ["rbps=0", 'It has "rbps=0", whose rate would stop the workload'],
        ["wbps=-1", 'It has "wbps=-1", whose rate is not a size'],
        ["riops=5MB", 'It has "riops=5MB", whose rate is not a number of operations'],
      ] as const) {
        expect(() => limitsOf("--io-max", `${disk} ${rates}`)).toThrow(fault);
      }
    },
  );

  it.skipIf(!isRootOnDisk)("find the disk behind a path", () => {
    expect(limitsOf("--io-max", "/ rbps=1M").ioMax).toHaveLength(1);
  });

  it("keep a path without a disk, which becomes a limit that is refused", () => {
    for (const device of ["/proc", "/no/such/path", "999:999"])
      expect(limitsOf("--io-max", `${device} rbps=1`)).toEqual({ ioMax: [{ device, rbps: 1 }] });
  });

  it("ask for no limit with max, and with 0 for CPU time and memory", () => {
    for (const option of ["--cpu-quota", "--cpu-weight", "--memory-limit", "--memory-max"])
      expect(limitsOf(option, "0")).toEqual({});
    for (const option of ["--cpu-quota", "--cpu-max", "--io-max", "--pids-max", "--cpus", "--nice"])
      expect(limitsOf(option, "max")).toEqual({});
    for (const option of ["--pids-max", "--cpu-max", "--io-max"])
      expect(() => limitsOf(option, "0")).toThrow("is invalid");
  });

  it("find values that were most likely meant as something else", () => {
    const mistakesIn = (...args: string[]) => {
      takeLikelyMistakes();
      limitsOf(...args);
      return takeLikelyMistakes();
    };
    expect(mistakesIn("--cpu-quota", "1.5")).toEqual([
      "--cpu-quota 1.5 is 1.5 % of one core; perhaps: 150 for 1.5 cores, or 1.5% if that is meant",
    ]);
    expect(mistakesIn("--cpus", "2")).toEqual([
      "--cpus 2 is the CPU with number 2, and no other; perhaps: a quota of 200 for 2 cores of CPU time, or 2-2 if that CPU is meant",
    ]);
    for (const quota of ["0", "5", "150", "1.5%", "1.5 cores", "max"])
      expect(mistakesIn("--cpu-quota", quota)).toEqual([]);
    for (const cpus of ["0", "2-2", "0,2", "0-3", "max"]) expect(mistakesIn("--cpus", cpus)).toEqual([]);
    expect(() => limitsOf("--cpus", "1.5")).toThrow(
      "a quota of 150 (--cpu-quota, cpu_quota) gives 1.5 cores",
    );
  });

  it("accept nice values, I/O classes, process counts and lists of CPUs", () => {
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
      expect(() => limitsOf("--ionice", text)).toThrow(
        "Expected: a disk priority: idle, best-effort:0 to best-effort:7",
      );
  });
});

/** Parses the same text as a policy file does. */
function policyLimits(key: string, text: string): Limits {
  const loaded = loadPolicy(`default_limits: {${key}: ${JSON.stringify(text)}}`, "policy.yaml");
  if ("faults" in loaded) throw new Error(JSON.stringify(loaded.faults));
  return mergeLayers(loaded.policy.defaults);
}

describe("limit options and policy files", () => {
  const written: Record<string, string[]> = {
    cpu_quota: ["1", ...examplesOf("percent"), "8192 cores"],
    cpu_max: ["50000 100000", "1000"],
    cpu_weight: ["1", "10000"],
    cpu_idle: ["1"],
    memory_limit: ["64", "1", ...examplesOf("size")].filter((text) => text !== "500kB"),
    memory_max: ["1048576", "2.5MiB", ...examplesOf("size")].filter(
      (text) => !["500kB", "2048"].includes(text),
    ),
    io_weight: ["1", "10000"],
    pids_max: ["1", "4194304"],
    cpus: ["0", ...examplesOf("list")],
    nice: ["-20", "+5", "19"],
    ionice: ["idle", "realtime:0", "best-effort:7"],
    oom_score_adj: ["-1000", "1000"],
  };

  it("are tried with every key but io_max, which has a test of its own", () => {
    const keys = Object.values(LIMITS).flatMap((limit) => Object.keys(limit.keys));
    expect(Object.keys(written)).toEqual(keys.filter((key) => key !== "io_max"));
  });

  it.each(Object.entries(written))("understand %s alike, however it is written", (key, texts) => {
    for (const text of texts) {
      const limits = limitsOf(`--${key.replaceAll("_", "-")}`, text);
      expect(Object.keys(limits)).toHaveLength(1);
      expect({ text, limits: policyLimits(key, text) }).toEqual({ text, limits });
    }
  });

  it.skipIf(disk === undefined)("understand io_max alike, however it is written", () => {
    for (const rate of examplesOf("rate")) {
      const text = `${disk} ${rate.includes("B") ? "wbps" : "wiops"}=${rate}`;
      expect({ text, limits: policyLimits("io_max", text) }).toEqual({
        text,
        limits: limitsOf("--io-max", text),
      });
    }
  });

  it("count a bare number in MiB for the soft memory limit, and in bytes for the hard one", () => {
    expect(limitsOf("--memory-limit", "2048")).toEqual({ memoryHighBytes: 2 * 1024 ** 3 });
    expect(limitsOf("--memory-max", "2097152")).toEqual({ memoryMaxBytes: 2 * 1024 ** 2 });
    expect(limitsOf("--memory-limit", "2GiB", "--memory-max", "2GB")).toEqual({
      memoryHighBytes: 2 * 1024 ** 3,
      memoryMaxBytes: 2_000_000_000,
    });
  });
});

function examplesOf(kind: Spelling["value"]): string[] {
  return SPELLINGS.filter(({ value }) => value === kind).flatMap(({ examples }) => examples);
}
