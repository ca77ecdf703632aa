import { describe, expect, it } from "bun:test";
import { procTree, statLine } from "../../../test/support/procTree.ts";
import { isEnding } from "./identity.ts";

const RUNNING = 0x400000;
const EXITING = RUNNING | 0x4;
const NOTHING_PENDING = "SigPnd:\t0000000000000000\n";
const KILLED = "SigPnd:\t0000000000000100\n";

/** Returns whether a process 40 with the threads 40 and 41 is ending. */
function check(first: Parameters<typeof statLine>[0], second: { flags: number; status: string }): boolean {
  const stat = statLine({ pid: 40, threads: 2, startTicks: 7, ...first });
  using proc = procTree({
    "40/stat": stat,
    "40/task/40/stat": stat,
    "40/task/40/status": NOTHING_PENDING,
    "40/task/41/stat": statLine({ pid: 41, threads: 2, startTicks: 7, flags: second.flags }),
    "40/task/41/status": second.status,
  });
  return isEnding(proc.host, 40, 7);
}

describe("isEnding()", () => {
  it("is true for a process that is gone, a zombie, another process with its pid, and one that exits", () => {
    const other = { flags: RUNNING, status: NOTHING_PENDING };
    using empty = procTree({});
    expect(isEnding(empty.host, 40, 7)).toBe(true);
    expect(check({ state: "Z", threads: 1 }, other)).toBe(true);
    expect(check({ startTicks: 8 }, other)).toBe(true);
    expect(check({ flags: EXITING }, { flags: EXITING, status: NOTHING_PENDING })).toBe(true);
  });

  it("is true while the kernel kills the other threads of a process that exits", () => {
    expect(check({ flags: EXITING }, { flags: RUNNING, status: KILLED })).toBe(true);
  });

  it("is false for a process that runs, and for one whose first thread has ended alone", () => {
    const other = { flags: RUNNING, status: NOTHING_PENDING };
    expect(check({}, other)).toBe(false);
    expect(check({ state: "Z", flags: EXITING }, other)).toBe(false);
    expect(check({ flags: RUNNING }, { flags: EXITING, status: KILLED })).toBe(false);
  });
});
