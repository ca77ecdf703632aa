import { expect, test } from "bun:test";
import { bufferAt } from "./libc.ts";
import { NumberedPath } from "./numberedPath.ts";

/** Returns what a system call would read there. */
function textAt(address: number): string {
  const bytes = new Uint8Array(bufferAt(address, "/proc/4294967295/comm\0".length));
  return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
}

test("a path has the digits of the last number, whatever was before", () => {
  const path = new NumberedPath("/proc/", "/comm");
  for (const number of [1, 4_194_304, 0, 9, 10, 99, 100, 32_768, 7, 4_294_967_295])
    expect(textAt(path.with(number))).toBe(`/proc/${number}/comm`);
});

test("two paths do not share their memory", () => {
  const [comm, exe] = [new NumberedPath("/proc/", "/comm"), new NumberedPath("/proc/", "/exe")];
  const address = comm.with(17);
  exe.with(4711);
  expect(textAt(address)).toBe("/proc/17/comm");
});
