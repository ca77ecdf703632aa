import { expect, test } from "bun:test";
import { fstatSync, openSync, readFileSync } from "node:fs";
import { closeFd, closeOnExec, duplicate } from "./descriptor.ts";
import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

test("duplicate() returns a second descriptor of the same file, close-on-exec", () => {
  const first = openSync("/dev/null", "r");
  const second = duplicate(first);
  try {
    expect(second).toBeGreaterThan(2);
    expect(second).not.toBe(first);
    expect(fstatSync(second).ino).toBe(fstatSync(first).ino);
    expect(readFlags(second)).toMatch(/^flags:\s+02\d{6}$/m);
  } finally {
    closeFd(first);
    closeFd(second);
  }
});

test("closeOnExec() keeps a descriptor from programs that are executed later", () => {
  const fd = syscall("eventfd2", 0, 0);
  try {
    expect(readFlags(fd)).toMatch(/^flags:\s+02$/m);
    expect(closeOnExec(fd)).toBe(0);
    expect(readFlags(fd)).toMatch(/^flags:\s+02\d{6}$/m);
  } finally {
    expect(closeFd(fd)).toBe(0);
  }
});

test("a descriptor that is not open is refused with −EBADF", () => {
  expect([duplicate(-1), closeOnExec(-1), closeFd(-1)].map(errnoName)).toEqual(["EBADF", "EBADF", "EBADF"]);
});

function readFlags(fd: number): string {
  return readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
}
