import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { locateState } from "../ledger/location.ts";
import {
  createProgressFile,
  progressFileOf,
  removeProgressFile,
  trimProgressFile,
  whyWithoutProgress,
  withProgress,
} from "./progressFile.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function open() {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-progress-"));
  directories.push(directory);
  const state = locateState(directory, {});
  const path = createProgressFile(state, "job-1");
  const job = { mode: "run", jobId: "job-1", command: ["ffmpeg", "-progress", path, "-i", "a"] } as const;
  return { state, path, job };
}

test("only ffmpeg without a progress file of its own gets one", () => {
  expect(whyWithoutProgress(["/opt/bin/ffmpeg", "-i", "a"])).toBeUndefined();
  expect(whyWithoutProgress(["ffmpeg", "-i", "a", "-progress", "x"])).toBe("its own");
  expect(whyWithoutProgress(["sh", "-c", "ffmpeg"])).toBe("not ffmpeg");
  expect(withProgress(["ffmpeg", "-i", "a"], "-progress", "/p")).toEqual([
    "ffmpeg",
    "-progress",
    "/p",
    "-i",
    "a",
  ]);
});

test("the file belongs to this user alone, and goes with its job", () => {
  const { state, path, job } = open();
  const { mode, uid, size } = statSync(path);
  expect({ mode: mode & 0o7777, uid, size }).toEqual({ mode: 0o600, uid: process.geteuid?.() ?? 0, size: 0 });
  expect(progressFileOf(state, job)).toBe(path);
  removeProgressFile(state, job);
  expect(existsSync(path)).toBe(false);
  removeProgressFile(state, job);
});

test("a job that names a file of another job, or any other file, has none", () => {
  const { state, path, job } = open();
  const other = join(dirname(path), "other");
  for (const claim of [
    { ...job, jobId: "job" },
    { ...job, jobId: "job-2" },
    { ...job, mode: "watch" as const },
    { ...job, command: ["ffmpeg", "-progress", other] },
    { ...job, command: ["ffmpeg", "-i", path] },
    { ...job, command: ["ffmpeg", "-progress", `${dirname(path)}/../${path}`] },
    { ...job, command: ["ffmpeg"] },
  ])
    expect(progressFileOf(state, claim)).toBeUndefined();
  removeProgressFile(state, job);
});

test("a large file loses its old blocks, and keeps its size and its end", () => {
  const { state, path, job } = open();
  writeFileSync(path, `${"x".repeat(3 * 1024 ** 2)}the end`);
  trimProgressFile(state, job);
  const { size, blocks } = statSync(path);
  expect(size).toBe(3 * 1024 ** 2 + 7);
  expect(blocks * 512).toBeLessThan(256 * 1024);
  expect(readFileSync(path, "utf8").endsWith("xthe end")).toBe(true);
  removeProgressFile(state, job);
});

test("a small file is left as it is", () => {
  const { state, path, job } = open();
  writeFileSync(path, "x".repeat(500 * 1024));
  trimProgressFile(state, job);
  expect(readFileSync(path, "utf8")).toBe("x".repeat(500 * 1024));
  removeProgressFile(state, job);
});
