import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { someJob } from "../../../test/support/jobs.ts";
import { linesOf, readLogEnd } from "./logEnd.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-log-"));
afterAll(() => rmSync(directory, { recursive: true }));

const logOf = (text: string) => {
  const logPath = join(directory, "log");
  writeFileSync(logPath, text);
  return readLogEnd(someJob({ logPath }));
};

test("a status line that was written over itself is one line, as on a terminal", () => {
  expect(linesOf("Stream 0\r\nframe=1\rframe=2\rframe=3\r")).toEqual(["Stream 0", "frame=3"]);
  expect(linesOf("a\tb\n\n")).toEqual(["a    b", ""]);
});

test("of a long log only the end is read, from the start of a line", () => {
  const log = logOf(Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join(""));
  const lines = "lines" in log ? log.lines : [];
  expect(lines.at(-1)).toBe("line 19999");
  expect(lines[0]).toMatch(/^line \d+$/);
  expect(lines.length).toBeLessThan(6000);
});

test("a job without a log, a log that is missing and one that is no file have a reason", () => {
  expect(readLogEnd(someJob())).toEqual({
    because: "job transcode-001 has no log: only run --detach captures output",
  });
  const missing = { because: `cannot read the log ${directory}/none: ENOENT (no such file)` };
  expect(readLogEnd(someJob({ logPath: `${directory}/none` }))).toEqual(missing);
  expect(readLogEnd(someJob({ logPath: directory }))).toEqual({
    because: `cannot read the log ${directory}: it is a directory`,
  });
});
