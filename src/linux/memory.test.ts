import { expect, test } from "bun:test";
import { totalmem } from "node:os";
import { procTree } from "../../test/support/procTree.ts";
import { realHost } from "./host.ts";
import { readMemoryTotalBytes } from "./memory.ts";

test("readMemoryTotalBytes() returns the memory of this machine", () => {
  expect(readMemoryTotalBytes(realHost())).toBe(totalmem());
});

test("readMemoryTotalBytes() finds MemTotal on any line", () => {
  using proc = procTree({ meminfo: "Foo:  1 kB\nMemTotal:       24660684 kB\nMemFree: 5 kB\n" });
  expect(readMemoryTotalBytes(proc.host)).toBe(24_660_684 * 1024);
});

test("readMemoryTotalBytes() is undefined without MemTotal", () => {
  using without = procTree({ meminfo: "MemFree: 5 kB\n" });
  using empty = procTree({});
  expect(readMemoryTotalBytes(without.host)).toBeUndefined();
  expect(readMemoryTotalBytes(empty.host)).toBeUndefined();
});
