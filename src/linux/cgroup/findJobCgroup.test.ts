import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CgroupFs, realCgroupFs } from "../cgroupFs.ts";
import type { Change } from "../change.ts";
import { findJobCgroup } from "./findJobCgroup.ts";
import type { Hierarchy } from "./hierarchies.ts";

let mountPoint: string;
beforeAll(() => {
  mountPoint = mkdtempSync(join(tmpdir(), "ffrtmp-find-"));
  mkdirSync(`${mountPoint}/ffrtmp-a`);
  // The kernel makes no such link: a record could still name one where the tree is not cgroupfs.
  symlinkSync("/etc", `${mountPoint}/ffrtmp-link`);
});
afterAll(() => rmSync(mountPoint, { recursive: true }));

function hierarchies(): Hierarchy[] {
  return [{ key: "cpu", version: 1, controllers: ["cpu"], mountPoint, mountRoot: "/" }];
}

/** The real file system, which notes the paths whose links are looked for. */
function watched(): { fs: CgroupFs; looked: string[] } {
  const looked: string[] = [];
  const realPath = (path: string) => {
    looked.push(path);
    return realCgroupFs.realPath(path);
  };
  return { fs: { ...realCgroupFs, realPath }, looked };
}

const at = (name: string) => [{ hierarchy: "cpu", path: `${mountPoint}/${name}` }];
const created = (name: string): Change[] => [
  { kind: "cgroup-created", hierarchy: "cpu", path: `${mountPoint}/${name}`, role: "job" },
];

test("the paths of a record are checked once, and its directories are looked for at each call", () => {
  const { fs, looked } = watched();
  const [mounted, record] = [hierarchies(), { cgroup: at("ffrtmp-b"), changes: created("ffrtmp-b") }];
  expect(findJobCgroup(fs, mounted, record).directories).toEqual([]);
  mkdirSync(`${mountPoint}/ffrtmp-b`);
  expect(findJobCgroup(fs, mounted, record).directories).toHaveLength(1);
  const lookedBefore = looked.length;
  expect(findJobCgroup(fs, mounted, record).directories).toHaveLength(1);
  expect(looked).toHaveLength(lookedBefore);
  rmSync(`${mountPoint}/ffrtmp-b`, { recursive: true });
  expect(findJobCgroup(fs, mounted, record).directories).toEqual([]);
});

test("a record with another list of cgroups or changes, or for other hierarchies, is checked anew", () => {
  const { fs, looked } = watched();
  const [mounted, record] = [hierarchies(), { cgroup: at("ffrtmp-a"), changes: created("ffrtmp-a") }];
  expect(findJobCgroup(fs, mounted, record).directories).toHaveLength(1);
  expect(findJobCgroup(fs, mounted, { ...record, cgroup: at("ffrtmp-link") }).directories).toEqual([]);
  expect(findJobCgroup(fs, mounted, { ...record, changes: created("ffrtmp-link") }).directories).toEqual([]);
  expect(findJobCgroup(fs, mounted, { ...record, cgroup: at("../etc") }).directories).toEqual([]);
  const lookedBefore = looked.length;
  expect(findJobCgroup(fs, hierarchies(), record).directories).toHaveLength(1);
  expect(looked.length).toBeGreaterThan(lookedBefore);
});
