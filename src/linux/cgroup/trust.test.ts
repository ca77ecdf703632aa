import { expect, test } from "bun:test";
import type { CgroupFs } from "../cgroupFs.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { isForeign, isMadeByUs, isNamedByUs, isOwnedByUs } from "./trust.ts";

const STRANGER = 1001;
const V1: Hierarchy = {
  key: "pids",
  version: 1,
  controllers: ["pids"],
  mountPoint: "/cg/pids",
  mountRoot: "/",
};

function owned(owners: Record<string, number>): CgroupFs {
  return { owner: (path: string) => owners[path] } as unknown as CgroupFs;
}

test("a directory of root is ours, one of another user is foreign, and a missing one is neither", () => {
  const fs = owned({ "/cg/pids/a": 0, "/cg/pids/b": STRANGER });
  expect(["a", "b", "c"].map((name) => isOwnedByUs(fs, `/cg/pids/${name}`))).toEqual([true, false, false]);
  expect(["a", "b", "c"].map((name) => isForeign(fs, `/cg/pids/${name}`))).toEqual([false, true, false]);
});

test("a cgroup was made by root when its directory and the one above are root's", () => {
  const fs = owned({ "/cg/pids": 0, "/cg/pids/a": 0, "/cg/pids/u": STRANGER, "/cg/pids/u/a": 0 });
  expect(isMadeByUs(fs, V1, "/a")).toBeTrue();
  expect(isMadeByUs(fs, V1, "/u")).toBeFalse();
  expect(isMadeByUs(fs, V1, "/u/a")).toBeFalse();
  expect(isMadeByUs(fs, V1, "/gone")).toBeFalse();
});

test("a cgroup was named by root when the directory above is root's", () => {
  const fs = owned({ "/cg/pids": 0, "/cg/pids/u": STRANGER, "/cg/pids/u/a": 0 });
  expect(["/u", "/u/a", "/"].map((path) => isNamedByUs(fs, V1, path))).toEqual([true, false, undefined]);
  expect(isNamedByUs(fs, undefined, "/u")).toBeUndefined();
  expect(isNamedByUs(fs, V1, "/../u")).toBeUndefined();
});

test("a cgroup that is not visible here is unknown", () => {
  const fs = owned({ "/cg/pids": 0 });
  expect(isMadeByUs(fs, undefined, "/a")).toBeUndefined();
  expect(isMadeByUs(fs, V1, "/../a")).toBeUndefined();
  expect(isMadeByUs(fs, { ...V1, mountRoot: "/docker/1" }, "/docker/2")).toBeUndefined();
  // Above the mount point, nothing is visible.
  expect(isMadeByUs(fs, { ...V1, mountRoot: "/docker/1" }, "/docker/1")).toBeTrue();
});
