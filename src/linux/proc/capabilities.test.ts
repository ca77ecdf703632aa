import { expect, test } from "bun:test";
import { parseCapabilities } from "./capabilities.ts";

test("parseCapabilities() returns the effective capabilities", () => {
  const status =
    "Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000880001\nCapBnd:\t000001ffffffffff\n";
  expect([...parseCapabilities(status)]).toEqual([0, 19, 23]);
  expect(parseCapabilities("CapEff:\t000001fffeffffff\n").has(24)).toBe(false);
  expect(parseCapabilities("CapEff:\t000001fffeffffff\n").size).toBe(40);
});

test("parseCapabilities() returns none without a CapEff line", () => {
  expect(parseCapabilities("gone").size).toBe(0);
});
