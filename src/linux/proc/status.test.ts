import { expect, test } from "bun:test";
import { procTree } from "../../../test/support/procTree.ts";
import { hasCapability, readCredentials } from "./status.ts";

function capabilitiesOf(status: string | undefined): number[] {
  using proc = procTree(status === undefined ? {} : { "self/status": status });
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => hasCapability(proc.host, bit));
}

test("hasCapability() reads the effective capabilities", () => {
  const status =
    "Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000880001\nCapBnd:\t000001ffffffffff\n";
  expect(capabilitiesOf(status)).toEqual([0, 19, 23]);
  expect(capabilitiesOf("CapEff:\t000001fffeffffff\n")).not.toContain(24);
  expect(capabilitiesOf("CapEff:\t000001fffeffffff\n")).toHaveLength(40);
});

test("hasCapability() is false without a CapEff line", () => {
  expect(capabilitiesOf("Name:\tx\n")).toEqual([]);
  expect(capabilitiesOf(undefined)).toEqual([]);
});

test("readCredentials() returns the effective user and group", () => {
  using proc = procTree({ "10/status": "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n" });
  expect(readCredentials(proc.host, 10)).toEqual({ uid: 2, gid: 6 });
  expect(readCredentials(proc.host, 11)).toBe("gone");
});
