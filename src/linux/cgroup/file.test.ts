import { expect, test } from "bun:test";
import { tightestAbove } from "./constraints.ts";
import type { CgroupDirectory } from "./file.ts";
import {
  counterIn,
  readBack,
  readCgroupFile,
  readCounter,
  readIoBytes,
  readNumber,
  writeCgroupFile,
} from "./file.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { compareReadBack } from "./limitFiles.ts";
import { DEVICE_WORDS } from "./v1/usage.ts";

const HIERARCHY: Hierarchy = { key: "", version: 2, controllers: [], mountPoint: "/cg", mountRoot: "/" };

/** A directory whose files contain these texts; a text that is an Error is thrown. */
function directory(files: Record<string, string | Error>, path = "/cg/a"): CgroupDirectory {
  const read = (file: string): string => {
    const text = files[file] ?? Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    if (text instanceof Error) throw text;
    return text;
  };
  const unused = (): never => {
    throw new Error("not here");
  };
  const write = (file: string): void => void read(file);
  const fs = {
    read,
    write,
    mkdir: unused,
    rmdir: unused,
    exists: unused,
    isFile: unused,
    realPath: unused,
    isWritable: unused,
    owner: unused,
    hasProcesses: unused,
    hasPrograms: unused,
    children: unused,
    files: unused,
    watch: unused,
  };
  return { fs, hierarchy: HIERARCHY, path };
}

test("readBack() returns the trimmed text of a file", () => {
  const target = directory({ "/cg/a/pids.max": "64\n" });
  expect(writeCgroupFile(target, "pids.max", "65")).toBeUndefined();
  expect(readBack(target, "pids.max")).toEqual({ readBack: "64" });
});

test("a refused write is reported with errno, data and path", () => {
  const error = Object.assign(new Error(), { code: "EPERM" });
  expect(writeCgroupFile(directory({ "/cg/a/pids.max": error }), "pids.max", "65")).toBe(
    'EPERM (operation not permitted) writing "65" to /cg/a/pids.max',
  );
});

test.each([
  ["64\n", 64],
  ["0\n", 0],
  ["max\n", undefined],
  ["-1\n", undefined],
  ["", undefined],
  ["1 2", undefined],
  ["0x10", undefined],
])("%j is read as the number %p", (text, number) => {
  expect(readNumber(directory({ "/cg/a/file": text }), "file")).toBe(number as number);
});

test("a missing file is undefined, not 0", () => {
  expect(readCgroupFile(directory({}), "file")).toBeUndefined();
  expect(readNumber(directory({}), "file")).toBeUndefined();
  expect(readCounter(directory({}), "file", "oom")).toBeUndefined();
});

test("readCounter() reads a counter by its name, and nothing that is no whole number", () => {
  const text = "usage_usec 12\nbad\nnegative -1\nword max\n\nthrottled_usec 5000000\n";
  const read = (name: string) => readCounter(directory({ "/cg/a/cpu.stat": text }), "cpu.stat", name);
  expect(["usage_usec", "throttled_usec"].map(read)).toEqual([12, 5_000_000]);
  for (const name of ["bad", "negative", "word", "usage"]) expect(read(name)).toBeUndefined();
});

test("counterIn() reads one counter, whose name is a whole word at the start of a line", () => {
  const text = "nr_periods 11\nbad\nnr_throttled 9\ntotal_nr_bursts 3\nnegative -1\n\nthrottled_usec max";
  expect(
    ["nr_periods", "nr_throttled", "nr_bursts", "throttled_usec", "nr", "negative"].map((n) =>
      counterIn(text, n),
    ),
  ).toEqual([11, 9, undefined, undefined, undefined, undefined]);
});

test("the bytes of all devices are added up, on v1 and on v2", () => {
  const v1 = { "/cg/a/io": "254:0 Read 1024\n254:0 Write 2048\n254:16 Read 1\n254:16 Sync 7\nTotal 3073" };
  const v2 = {
    "/cg/a/io": "8:0 rbytes=1459200 wbytes=3 rios=192 wios=353\n8:16 rbytes=1 wbytes=0 rios=1 wios=0",
  };
  const words = { read: " rbytes=", written: " wbytes=" };
  expect(readIoBytes(directory(v1), "io", DEVICE_WORDS)).toEqual({ ioReadBytes: 1025, ioWriteBytes: 2048 });
  expect(readIoBytes(directory(v2), "io", words)).toEqual({ ioReadBytes: 1_459_201, ioWriteBytes: 3 });
  expect(readIoBytes(directory({ "/cg/a/io": "" }), "io", words)).toEqual({
    ioReadBytes: 0,
    ioWriteBytes: 0,
  });
  expect(readIoBytes(directory({}), "io", words)).toEqual({ ioReadBytes: null, ioWriteBytes: null });
});

test("tightestAbove() returns the tightest value of the cgroups above, and its cgroup", () => {
  const files = {
    "/cg/pids.max": "30",
    "/cg/a/pids.max": "20",
    "/cg/a/b/pids.max": "max",
    "/cg/a/b/c/pids.max": "5",
  };
  const above = tightestAbove(directory(files, "/cg/a/b/c"), "pids.max", (ancestor) =>
    readNumber(ancestor, "pids.max"),
  );
  expect(above).toEqual({ value: 20, path: "/cg/a" });
  expect(
    tightestAbove(directory({}, "/cg/a"), "pids.max", (ancestor) => readNumber(ancestor, "pids.max")),
  ).toBeUndefined();
});

test("an outcome is partial when the kernel has another value, which it reports", () => {
  expect(compareReadBack("pids.max", "65", { readBack: "64" }, (text) => text === "65")).toEqual({
    limit: "pids.max",
    outcome: "partial",
    wanted: "65",
    actual: "64",
    because: "the kernel has 64",
  });
});
