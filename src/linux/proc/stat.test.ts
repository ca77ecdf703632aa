import { expect, test } from "bun:test";
import fc from "fast-check";
import { procTree, statLine } from "../../../test/support/procTree.ts";
import { realHost } from "../host.ts";
import { hasEnded, type ProcStat, parseStat, readStat } from "./stat.ts";

test("parseStat() returns the fields of a line", () => {
  expect(parseStat(statLine({ pid: 4026, comm: "ffmpeg", state: "R", ppid: 812, startTicks: 99 }))).toEqual({
    pid: 4026,
    comm: "ffmpeg",
    state: "R",
    ppid: 812,
    session: 4026,
    isKernelThread: false,
    isExiting: false,
    nice: 0,
    threads: 1,
    startTicks: 99,
  });
});

test("parseStat() parses a line of this kernel", () => {
  const stat = readStat(realHost(), process.pid);
  expect(stat).toMatchObject({ pid: process.pid, ppid: process.ppid, isKernelThread: false });
});

test.each([
  ["a) S 1 (b"],
  ["foo) Z "],
  [") R 1 1 1 0"],
  ["a b c"],
  [" "],
  ["two\nlines"],
  ["((("],
  [")))"],
  ["ffmpég"],
  [""],
])("parseStat() parses the line of a process with the name %j", (comm) => {
  expect(parseStat(statLine({ pid: 31, comm, state: "D", ppid: 7, startTicks: 5 }))).toMatchObject({
    pid: 31,
    comm,
    state: "D",
    ppid: 7,
    startTicks: 5,
  });
});

test("a kernel thread is recognized by its flags", () => {
  expect(parseStat(statLine({ flags: 0x208040 }))?.isKernelThread).toBe(true);
  expect(parseStat(statLine({ flags: 0x400040 }))?.isKernelThread).toBe(false);
  expect(readStat(realHost(), 2)).toMatchObject({ comm: "kthreadd", isKernelThread: true });
});

test("parseStat() rejects a line that is cut off before the end of the start time", () => {
  const line = statLine({ startTicks: 123456 });
  const end = line.indexOf(" 123456 ") + " 123456 ".length;
  for (let length = 0; length < end; length++) {
    expect({ length, stat: parseStat(line.slice(0, length)) }).toEqual({ length, stat: undefined });
  }
  expect(parseStat(line.slice(0, end))?.startTicks).toBe(123456);
});

test.each(["", "\n", "4026", "(ffmpeg) S 1", "0x1f (a) S 1 1 1", "1e3 (a)", "-4 (a) S", ") 4026 ("])(
  "parseStat() rejects %j",
  (text) => {
    expect(parseStat(text)).toBeUndefined();
  },
);

test("parseStat() reads a process that is being removed, which has no session any more", () => {
  // do_task_stat(), fs/proc/array.c, without the lock of its signals
  const line = statLine({ pid: 4026, startTicks: 99 }).replace(/\) \S \d+ \d+ \d+ /, ") X 0 -1 -1 ");
  expect(parseStat(line)).toMatchObject({ state: "X", ppid: 0, session: -1, startTicks: 99 });
});

test("parseStat() rejects a pid that is not a plain number", () => {
  for (const pid of ["0x1f", "1e3", "0", "-4", "", " ", "4026.0", "99999999999999999999"]) {
    expect({ pid, stat: parseStat(statLine().replace("4026", pid)) }).toEqual({ pid, stat: undefined });
  }
});

test("parseStat() returns the own pid, parent and start time for any name", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 20 }), fc.nat(), fc.nat(), (comm, pid, startTicks) => {
      const stat = parseStat(statLine({ pid: pid + 1, comm, ppid: 12, startTicks }));
      expect(stat).toMatchObject({ pid: pid + 1, comm, ppid: 12, startTicks });
    }),
  );
});

test("parseStat() returns a valid pid or undefined for any text", () => {
  const pieces = fc.constantFrom("(", ")", " ", "\n", "1", "S", "Z", "-1", "4026", "ffmpeg", "\0");
  const texts = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(pieces, { maxLength: 60 }).map((all) => all.join("")),
  );
  const isOf = ({ pid, ppid, startTicks }: ProcStat, text: string): boolean =>
    text.startsWith(`${pid} (`) && pid > 0 && [pid, ppid, startTicks].every(Number.isSafeInteger);
  fc.assert(
    fc.property(texts, (text) => {
      expect(parseStat(text)).toSatisfy((stat) => stat === undefined || isOf(stat, text));
    }),
  );
});

test("readStat() returns gone for a missing process, and for one that ends during the read", () => {
  using proc = procTree({ "7/stat": "", "8/status": "" });
  expect(readStat(proc.host, 6)).toBe("gone");
  expect(readStat(proc.host, 7)).toBe("gone");
  expect(readStat(proc.host, 8)).toBe("gone");
});

test("a zombie has ended and a stopped process has not", () => {
  const endedIn = (state: string): boolean => hasEnded(parseStat(statLine({ state })) as never);
  expect(["Z", "X", "x"].map(endedIn)).toEqual([true, true, true]);
  expect(["R", "S", "D", "T", "t", "I"].map(endedIn)).toEqual([false, false, false, false, false, false]);
});

test("a process whose first thread has ended still runs while it has another thread", () => {
  const stat = (threads: number): ProcStat => parseStat(statLine({ state: "Z", threads })) as ProcStat;
  expect(hasEnded(stat(2))).toBe(false);
  expect(hasEnded(stat(1))).toBe(true);
  expect(hasEnded(stat(0))).toBe(true);
});
