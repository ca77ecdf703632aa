import { describe, expect, it, test } from "bun:test";
import fc from "fast-check";
import { parseCpuList, parseCpuMax, parseCpuQuota, parseIoMax } from "./grammar.ts";
import { SPELLINGS } from "./spellings.ts";
import { parseBytes, parseDuration, parseRate, ValueFault } from "./units.ts";

describe("parseCpuQuota()", () => {
  it("accepts percent of a core and cores", () => {
    const quotas = ["50", "50%", "250.5 %", "1 core", "1.5 cores"].map(
      (text) => parseCpuQuota(text).quotaUsec,
    );
    expect(quotas).toEqual([50_000, 50_000, 250_500, 100_000, 150_000]);
  });

  it("rejects values that the kernel rejects, and text that is not CPU time", () => {
    for (const text of ["0", "0.5"]) expect(() => parseCpuQuota(text)).toThrow("1 percent of a core");
    expect(() => parseCpuQuota("819201")).toThrow("is more than 8192 cores");
    for (const text of ["-5", "1e9", "", "NaN", "1.", ".5", "1,5", "2 apples"])
      expect(() => parseCpuQuota(text)).toThrow("is not an amount of CPU time");
  });
});

describe("parseCpuMax()", () => {
  it("accepts the kernel's format, with its default period and its word for no limit", () => {
    expect(["20000 50000", "20000", " max  50000 "].map(parseCpuMax)).toEqual([
      { quotaUsec: 20_000, periodUsec: 50_000 },
      { quotaUsec: 20_000, periodUsec: 100_000 },
      { quotaUsec: "max", periodUsec: 50_000 },
    ]);
  });

  it("says which of the two is wrong", () => {
    for (const text of ["", "50000 100000 1", "-1 100000"])
      expect(() => parseCpuMax(text)).toThrow("is not a quota with its period");
    expect(() => parseCpuMax("50000 10")).toThrow("has a period outside");
    expect(() => parseCpuMax("10 100000")).toThrow("has a quota below 1000 µs");
    expect(() => parseCpuMax("9000000 1000")).toThrow("is more than 8192 cores");
  });
});

describe("parseIoMax()", () => {
  it("accepts a device and rates in any order, and checks neither", () => {
    expect(parseIoMax("  /srv/no where=1".replace(" where", " wiops"))).toEqual({
      device: "/srv/no",
      wiops: 1,
    });
    expect(parseIoMax("8:0 wbps=max rbps=1M")).toEqual({ device: "8:0", wbps: "max", rbps: 1024 ** 2 });
  });

  it("names the word that is wrong", () => {
    expect(() => parseIoMax("8:0")).toThrow("has no rate");
    expect(() => parseIoMax("8:0 rbps=1 speed=2")).toThrow('has "speed=2", which is none of');
    expect(() => parseIoMax("8:0 rbps=0")).toThrow('has "rbps=0", whose rate would stop');
  });
});

describe("SPELLINGS", () => {
  it("describe what the parsers accept", () => {
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

test.each([
  ["0", [0]],
  ["0-3", [0, 1, 2, 3]],
  ["8,0-1", [0, 1, 8]],
  ["1,1,0-1", [0, 1]],
  [" 2 , 4-5 ", [2, 4, 5]],
  ["8191", [8191]],
])("%j names CPUs", (text, cpus) => {
  expect(parseCpuList(text)).toEqual(cpus);
});

test.each(["", ",", "0,", "a", "3-1", "-1", "0-", "0--1", "1.5", "8192", "0-99999", "0x1", "1e2", "0 1"])(
  "%j is not a list of CPUs",
  (text) => {
    expect(parseCpuList(text)).toBeUndefined();
  },
);

test("any list of ranges is read back as its numbers, and any text as numbers or as nothing", () => {
  const range = fc.tuple(fc.nat(300), fc.nat(20)).map(([first, length]) => [first, first + length] as const);
  fc.assert(
    fc.property(fc.array(range, { minLength: 1 }), (ranges) => {
      const text = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join();
      const numbers = new Set(
        ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, n) => first + n)),
      );
      expect(parseCpuList(text)).toEqual([...numbers].sort((a, b) => a - b));
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("0", "1", "9", "-", ",", " ", "a") }), (text) => {
      const cpus = parseCpuList(text);
      expect(cpus?.every((cpu) => Number.isSafeInteger(cpu) && cpu >= 0 && cpu <= 8191) ?? true).toBe(true);
    }),
  );
});
