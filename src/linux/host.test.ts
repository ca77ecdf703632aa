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
  throw new Error("it did not fail");
}

test("a file of a process that is not there is gone, not an error", () => {
  const host = realHost();
  expect(readProcFile(host, "4194304/stat")).toBe("gone");
  expect(readProcFile(host, `${process.pid}/stat/below`)).toBe("gone");
});

test("files that announce no size are read to their end", () => {
  expect(readProcFile(realHost(), "self/mountinfo")).toContain(" - proc ");
});

test("an error that says nothing about the process is thrown", () => {
  using proc = procTree({ "7/task/file": "" });
  expect(errnoOf(failure(() => readProcFile(proc.host, "7/task")))).toBe("EISDIR");
});

test("a process ended when its files are missing, recycled or without a process behind them", () => {
  const withCode = (code: string): Error => Object.assign(new Error(code), { code });
  expect(["ENOENT", "ESRCH", "ENOTDIR"].map((code) => isGone(withCode(code)))).toEqual([true, true, true]);
  expect(["EACCES", "EPERM", "EIO"].map((code) => isGone(withCode(code)))).toEqual([false, false, false]);
});
