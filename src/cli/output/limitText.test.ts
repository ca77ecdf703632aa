import { describe, expect, it } from "bun:test";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { limitCountText, limitsText, wantedText } from "./limitText.ts";

const OUTCOMES: LimitOutcome[] = [
  { limit: "cpu.max", outcome: "applied", wanted: "150000 100000", actual: "150000 100000" },
  { limit: "memory.max", outcome: "partial", wanted: "2147483648", actual: "1", because: "new only" },
  { limit: "io.max", outcome: "refused", wanted: "8:0 rbps=50000000 wiops=500", because: "EACCES" },
  { limit: "cpu.max", of: "tenant", outcome: "unsupported", wanted: "400000 100000", because: "none" },
];

describe("limitsText()", () => {
  it("shows what was asked for, and marks what is not in force like that", () => {
    expect(limitsText(OUTCOMES)).toBe(
      "cpu 150 %, memory 2 GiB (partial), io 8:0 rbps=50MB/s wiops=500 (refused), tenant's cpu 400 % (unsupported)",
    );
    expect(limitsText([])).toBe("-");
  });
});

describe("limitCountText()", () => {
  it("counts apart what is not in force as it was asked for", () => {
    expect(limitCountText(OUTCOMES)).toBe("4 (1 partial, 1 refused, 1 unsupported)");
    expect(limitCountText(OUTCOMES.slice(0, 1))).toBe("1");
    expect(limitCountText([])).toBe("-");
  });
});

describe("wantedText()", () => {
  it("chooses the unit in which a size is exact and short", () => {
    const sizes = { "2 GiB": 2 ** 31, "2 GB": 2e9, "1.5 GiB": 1.5 * 2 ** 30, "1000 MiB": 1000 * 2 ** 20 };
    for (const [text, bytes] of Object.entries(sizes))
      expect(wantedText("memory.high", String(bytes))).toBe(text);
    expect(wantedText("memory.max", "123456789")).toBe("123456789 B");
  });

  it("shows a quota in percent of a core", () => {
    const quotas = ["50000 100000", "250500 100000", "20000 50000", "max 100000"];
    expect(quotas.map((quota) => wantedText("cpu.max", quota))).toEqual(["50 %", "250.5 %", "40 %", "max"]);
  });

  it("leaves other values as they are", () => {
    expect([wantedText("cpuset.cpus", "0-3,8"), wantedText("nice", "-5")]).toEqual(["0-3,8", "-5"]);
  });
});
