import { describe, expect, it } from "bun:test";
import { parseCpuMax, parseCpuQuota, parseIoMax, SPELLINGS } from "./grammar.ts";
import { parseBytes, parseDuration, parseRate, ValueFault } from "./units.ts";

describe("parseCpuQuota()", () => {
  it("takes percent of a core and cores", () => {
    const quotas = ["50", "50%", "250.5 %", "1 core", "1.5 cores"].map(
      (text) => parseCpuQuota(text).quotaUsec,
    );
    expect(quotas).toEqual([50_000, 50_000, 250_500, 100_000, 150_000]);
  });

  it("refuses what the kernel does not take, and what is none", () => {
    for (const text of ["0", "0.5"]) expect(() => parseCpuQuota(text)).toThrow("1 percent of a core");
    expect(() => parseCpuQuota("819201")).toThrow("is more than 8192 cores");
    for (const text of ["-5", "1e9", "", "NaN", "1.", ".5", "1,5", "2 apples"])
      expect(() => parseCpuQuota(text)).toThrow("is no CPU time");
  });
});

describe("parseCpuMax()", () => {
  it("takes what the kernel takes, with its usual period and its word for no limit", () => {
    expect(["20000 50000", "20000", " max  50000 "].map(parseCpuMax)).toEqual([
      { quotaUsec: 20_000, periodUsec: 50_000 },
      { quotaUsec: 20_000, periodUsec: 100_000 },
      { quotaUsec: "max", periodUsec: 50_000 },
    ]);
  });

  it("says which of the two is at fault", () => {
    for (const text of ["", "50000 100000 1", "-1 100000"])
      expect(() => parseCpuMax(text)).toThrow("is no quota with its period");
    expect(() => parseCpuMax("50000 10")).toThrow("has a period outside");
    expect(() => parseCpuMax("10 100000")).toThrow("has a quota below 1000 µs");
    expect(() => parseCpuMax("9000000 1000")).toThrow("is more than 8192 cores");
  });
});

describe("parseIoMax()", () => {
  it("takes a device and rates in any order, and looks at neither", () => {
    expect(parseIoMax("  /srv/no where=1".replace(" where", " wiops"))).toEqual({
      device: "/srv/no",
      wiops: 1,
    });
    expect(parseIoMax("8:0 wbps=max rbps=1M")).toEqual({ device: "8:0", wbps: "max", rbps: 1024 ** 2 });
  });

  it("names the word that is at fault", () => {
    expect(() => parseIoMax("8:0")).toThrow("names no rate");
    expect(() => parseIoMax("8:0 rbps=1 speed=2")).toThrow('holds "speed=2", which is none of');
    expect(() => parseIoMax("8:0 rbps=0")).toThrow('holds "rbps=0", whose rate would stop');
  });
});

describe("SPELLINGS", () => {
  it("tell of what the parsers take", () => {
    const parsers = {
      percent: parseCpuQuota,
      size: (text: string) => parseBytes(text, 1),
      rate: (text: string) => parseRate(text, text.includes("B") ? "bytes" : "operations"),
      list: (text: string) => text,
      time: parseDuration,
    };
    for (const { value, examples } of SPELLINGS) {
      for (const text of examples) expect(() => parsers[value](text)).not.toThrow(ValueFault);
    }
  });
});
