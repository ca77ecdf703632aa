import { expect, test } from "bun:test";
import { errnoName } from "./errno.ts";
import { addressOf, syscall } from "./libc.ts";
import { hostArch, syscallNumber } from "./syscallNumbers.ts";

test("a system call answers its result", () => {
  expect(syscall("getpid")).toBe(process.pid);
});

test("a failed system call answers the negative errno", () => {
  expect(syscall("close", -1)).toBe(-9);
  expect(syscall("pidfd_open", -1, 0)).toBe(-22);
  expect(errnoName(syscall("close", -1))).toBe("EBADF");
});

test("errno is the call's own, many times over and with the garbage collector at work", () => {
  const wrong: number[] = [];
  for (let round = 0; round < 20_000; round++) {
    const result = syscall("close", -1);
    if (result !== -9) wrong.push(result);
    if (round % 1000 === 0) Bun.gc(true);
  }
  expect(wrong).toEqual([]);
});

test("a buffer argument is passed as the address of its first byte", () => {
  const eventfd = syscall("eventfd2", 7, 0);
  const counter = new BigUint64Array(1);
  expect(syscall("read", eventfd, counter, 8)).toBe(8);
  expect(counter[0]).toBe(7n);
  expect(syscall("close", eventfd)).toBe(0);
});

test("an address is the one that the kernel writes to", () => {
  const outer = new Uint8Array(16);
  const eventfd = syscall("eventfd2", 1, 0);
  syscall("read", eventfd, addressOf(outer) + 8, 8);
  syscall("close", eventfd);
  expect([...outer]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
});

test("hostArch() knows the two machines whose numbers are in the table", () => {
  expect(hostArch("x64")).toBe("x86_64");
  expect(hostArch("arm64")).toBe("aarch64");
  expect(hostArch("riscv64")).toBeUndefined();
  expect([syscallNumber("ioprio_set", "x86_64"), syscallNumber("ioprio_set", "aarch64")]).toEqual([251, 30]);
});
