import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { errnoOf } from "../sys/errno.ts";
import { realCgroupFs } from "./cgroupFs.ts";

const root = mkdtempSync(`${tmpdir()}/ffrtmp-fs-`);
afterAll(() => rmSync(root, { recursive: true }));

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    return errnoOf(error);
  }
  return "no error";
}

test("a write goes into a file that is there, and never makes one", () => {
  writeFileSync(`${root}/file`, "");
  realCgroupFs.write(`${root}/file`, "50000 100000");
  expect(readFileSync(`${root}/file`, "utf8")).toBe("50000 100000");
  expect(codeOf(() => realCgroupFs.write(`${root}/missing`, "1"))).toBe("ENOENT");
  expect(realCgroupFs.exists(`${root}/missing`)).toBe(false);
});

test("refused writes leave no descriptor open", () => {
  const countOpen = (): number => readdirSync("/proc/self/fd").length;
  const before = countOpen();
  for (let n = 0; n < 50; n++) {
    // A file of procfs that opens and then refuses what is written.
    expect(codeOf(() => realCgroupFs.write("/proc/self/oom_score_adj", "no number"))).toBe("EINVAL");
  }
  expect(countOpen()).toBeLessThan(before + 50);
});

test("children are the directories, by name", () => {
  realCgroupFs.mkdir(`${root}/group`);
  realCgroupFs.mkdir(`${root}/group/a b`);
  writeFileSync(`${root}/group/cgroup.procs`, "");
  expect(realCgroupFs.children(`${root}/group`)).toEqual(["a b"]);
  expect(codeOf(() => realCgroupFs.mkdir(`${root}/group`))).toBe("EEXIST");
  realCgroupFs.rmdir(`${root}/group/a b`);
  expect(realCgroupFs.children(`${root}/group`)).toEqual([]);
  expect(codeOf(() => realCgroupFs.children(`${root}/missing`))).toBe("ENOENT");
});
