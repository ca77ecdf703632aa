import { expect, test } from "bun:test";
import type { Limits } from "./limits.ts";
import { CGROUP_LIMITS, ioMaxText, ionicePriorityText, wantedText } from "./table.ts";

const ALL: Limits = {
  cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 },
  cpuWeight: 50,
  memoryHighBytes: 512 * 1024 * 1024,
  memoryMaxBytes: 1024 * 1024 * 1024,
  ioMax: [
    { device: "8:0", rbps: 1_048_576, wiops: "max" },
    { device: "8:16", wbps: 2_097_152 },
  ],
  pidsMax: 64,
  cpus: "0-3,8",
  nice: -5,
  ionice: { class: "best-effort", level: 6 },
  oomScoreAdj: 0,
};

test.each([
  ["cpu.max", "50000 100000"],
  ["cpu.weight", "50"],
  ["memory.high", "536870912"],
  ["memory.max", "1073741824"],
  ["io.max", "8:0 rbps=1048576 wiops=max, 8:16 wbps=2097152"],
  ["pids.max", "64"],
  ["cpuset.cpus", "0-3,8"],
  ["nice", "-5"],
  ["ionice", "best-effort:6"],
  ["oom_score_adj", "0"],
] as const)("%s is shown as it is asked for", (name, text) => {
  expect(wantedText(ALL, name)).toBe(text);
});

test("what was not asked for has no text", () => {
  for (const name of [...CGROUP_LIMITS, "nice", "ionice", "oom_score_adj"] as const) {
    expect(wantedText({}, name)).toBeUndefined();
  }
});

test("no limit is the word max, and never a number", () => {
  expect(wantedText({ cpuMax: { quotaUsec: "max", periodUsec: 100_000 } }, "cpu.max")).toBe("max 100000");
  expect(ioMaxText({ device: "8:0", rbps: "max" })).toBe("8:0 rbps=max");
});

test("the rates of a device stand in the kernel's order, however they were asked for", () => {
  expect(ioMaxText({ device: "8:0", wiops: 4, riops: 3, wbps: 2, rbps: 1 })).toBe(
    "8:0 rbps=1 wbps=2 riops=3 wiops=4",
  );
});

test("the idle class has no level", () => {
  expect(ionicePriorityText({ class: "idle", level: 7 })).toBe("idle");
  expect(ionicePriorityText({ class: "realtime", level: 0 })).toBe("realtime:0");
});
