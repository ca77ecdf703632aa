import { describe, expect, it } from "bun:test";
import { SPELLINGS } from "./spellings.ts";
import {
  parseBytes,
  parseCpuMax,
  parseCpuQuota,
  parseDuration,
  parseIoMax,
  parseMemory,
  parseRate,
  parseScanInterval,
  parseWhole,
  ValueFault,
} from "./values.ts";

describe("parseBytes()", () => {
  it("counts letters and iB in 1024, in either case, and B in 1000", () => {
    expect(
      ["1", "1k", "1K", "1KiB", "1kB", "2M", "3g", "1TiB", "1 GB", "5B"].map((text) => parseBytes(text, 1)),
    ).toEqual([1, 1024, 1024, 1024, 1000, 2 * 1024 ** 2, 3 * 1024 ** 3, 1024 ** 4, 1000 ** 3, 5]);
  });

  it("gives its unit to bare numbers alone", () => {
    expect(["64", "64B", "64K", "0.5"].map((text) => parseBytes(text, 1024 ** 2))).toEqual([
      64 * 1024 ** 2,
      64,
      64 * 1024,
      512 * 1024,
    ]);
  });

  it("refuses what is no size, and what cannot be counted exactly", () => {
    for (const text of ["", "M", "-64", "1e3", "0x10", "1,5M", "64 apples", "64MiBs", "max", "64  M", "6.M"])
      expect(() => parseBytes(text, 1)).toThrow("is no size");
    for (const text of ["9999999T", "9".repeat(400)])
      expect(() => parseBytes(text, 1)).toThrow("is more than can be counted");
  });
});

describe("parseMemory()", () => {
  it("refuses less than anything can start in, and says when the unit may be the reason", () => {
    expect(parseMemory("1048576", 1)).toBe(1024 ** 2);
    expect(() => parseMemory("64", 1)).toThrow("(a number without a unit counts bytes here)");
    for (const text of ["0", "0.9"]) expect(() => parseMemory(text, 1024 ** 2)).toThrow(/can start$/);
    expect(() => parseMemory("1023K", 1)).toThrow(/can start$/);
  });
});

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

describe("parseWhole()", () => {
  it("takes both ends of the span, and signs", () => {
    expect(["-20", "+5", "19", "007"].map((text) => parseWhole(text, -20, 19))).toEqual([-20, 5, 19, 7]);
  });

  it("refuses everything that is no plain whole number, and what lies outside", () => {
    for (const text of ["", " ", "1.0", "1e3", "0x10", "1 ", "١", "NaN", "Infinity", "--1", "1_000"])
      expect(() => parseWhole(text, -100, 1e9)).toThrow("is no whole number");
    expect(() => parseWhole("0", 1, 5)).toThrow("is less than 1");
    for (const text of ["6", "9".repeat(400)]) expect(() => parseWhole(text, 1, 5)).toThrow("is more than 5");
  });
});

describe("parseRate()", () => {
  it("takes sizes for bytes, letters for operations, and the second that both are per", () => {
    expect(["50MB/s", "50 MB / s", "1.5K", "7", "max"].map((text) => parseRate(text, "bytes"))).toEqual([
      50_000_000,
      50_000_000,
      1536,
      7,
      "max",
    ]);
    expect(["500/s", "2k"].map((text) => parseRate(text, "operations"))).toEqual([500, 2048]);
  });

  it("refuses nothing at all, and operations in bytes", () => {
    expect(() => parseRate("0", "bytes")).toThrow("would stop the workload");
    expect(() => parseRate("5MB", "operations")).toThrow("is no number of operations");
    expect(() => parseRate("5MB/h", "bytes")).toThrow("is no size");
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

describe("parseDuration()", () => {
  it("reads units, sums of them, and seconds where there is none", () => {
    const texts = ["500ms", "5s", "5", "2m", "1h", "0.5s", "1m30s", "7d", "0"];
    expect(texts.map(parseDuration)).toEqual([
      500, 5000, 5000, 120_000, 3_600_000, 500, 90_000, 604_800_000, 0,
    ]);
  });

  it("refuses what is no time", () => {
    for (const text of ["", "s", "5 s", "-5s", "5y", "1m30", "1e3"])
      expect(() => parseDuration(text)).toThrow("is no time");
  });
});

describe("parseScanInterval()", () => {
  it("takes from a tenth of a second to a day", () => {
    expect(["100ms", "1d"].map(parseScanInterval)).toEqual([100, 86_400_000]);
    for (const text of ["0", "99ms", "25h", "5d"])
      expect(() => parseScanInterval(text)).toThrow("is not between 100ms and 24h");
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
