import { expect, test } from "bun:test";
import { procTree } from "../../test/support/procTree.ts";
import { errnoOf } from "../sys/errno.ts";
import { isGone, readProcFile, realHost } from "./host.ts";

function failure(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("the call did not fail");
}

test("readProcFile() returns gone for a process that does not exist", () => {
  const host = realHost();
  expect(readProcFile(host, "4194304/stat")).toBe("gone");
  expect(readProcFile(host, `${process.pid}/stat/below`)).toBe("gone");
});

test("readProcFile() reads files of size 0 to their end", () => {
  expect(readProcFile(realHost(), "self/mountinfo")).toContain(" - proc ");
});

test("readProcFile() throws an error that does not concern the process", () => {
  using proc = procTree({ "7/task/file": "" });
  expect(errnoOf(failure(() => readProcFile(proc.host, "7/task")))).toBe("EISDIR");
});

test("isGone() recognizes the errors of missing, reused and orphaned files", () => {
  const withCode = (code: string): Error => Object.assign(new Error(code), { code });
  expect(["ENOENT", "ESRCH", "ENOTDIR"].map((code) => isGone(withCode(code)))).toEqual([true, true, true]);
  expect(["EACCES", "EPERM", "EIO"].map((code) => isGone(withCode(code)))).toEqual([false, false, false]);
});
