import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { setPriority } from "node:os";
import { describeErrno, errnoName, errnoOf } from "./errno.ts";

function failure(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("the call did not fail");
}

function withCode(code: string): Error {
  return Object.assign(new Error("x"), { code });
}

test("errnoName() returns the name of a known errno and the number of an unknown one", () => {
  expect(errnoName(-1)).toBe("EPERM");
  expect(errnoName(105)).toBe("ENOBUFS");
  expect(errnoName(4095)).toBe("errno 4095");
});

test("errnoOf() returns the errno of file system and node:os errors", () => {
  expect(errnoOf(failure(() => readFileSync("/proc/self")))).toBe("EISDIR");
  expect(errnoOf(failure(() => setPriority(4_194_304, 0)))).toBe("ESRCH");
});

test("errnoOf() is undefined for anything that is not an error of the kernel", () => {
  expect([new Error("x"), "ENOENT", undefined, { code: "ENOENT" }].map(errnoOf)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test("describeErrno() explains a known errno and returns an unknown one as it is", () => {
  expect(describeErrno(withCode("EROFS"))).toBe("EROFS (mounted read-only)");
  expect(describeErrno(withCode("EDQUOT"))).toBe("EDQUOT");
});

test("describeErrno() returns the message of an error without an errno", () => {
  expect(describeErrno(new Error("no errno"))).toBe("no errno");
  expect(describeErrno("text")).toBe("text");
});
