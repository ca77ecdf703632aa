import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { errnoOf } from "../sys/errno.ts";
import { realCgroupFs } from "./cgroupFs.ts";
import { WRITABLE_FILES } from "./writableFiles.ts";

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

test("write() writes to an existing file and never creates one", () => {
  writeFileSync(`${root}/cpu.max`, "");
  realCgroupFs.write(`${root}/cpu.max`, "50000 100000");
  expect(readFileSync(`${root}/cpu.max`, "utf8")).toBe("50000 100000");
  expect(codeOf(() => realCgroupFs.write(`${root}/pids.max`, "1"))).toBe("ENOENT");
  expect(realCgroupFs.exists(`${root}/pids.max`)).toBe(false);
});

test("a refused write leaves no descriptor open", () => {
  const countOpen = (): number => readdirSync("/proc/self/fd").length;
  const before = countOpen();
  // This file can be opened, and refuses the write.
  symlinkSync("/proc/self/oom_score_adj", `${root}/memory.max`);
  for (let n = 0; n < 50; n++) {
    expect(codeOf(() => realCgroupFs.write(`${root}/memory.max`, "no number"))).toBe("EINVAL");
  }
  expect(countOpen()).toBeLessThan(before + 50);
});

test("children() returns the names of the directories, and files() those of the files", () => {
  realCgroupFs.mkdir(`${root}/group`);
  realCgroupFs.mkdir(`${root}/group/a b`);
  writeFileSync(`${root}/group/cgroup.procs`, "");
  expect(realCgroupFs.children(`${root}/group`)).toEqual(["a b"]);
  expect(realCgroupFs.files(`${root}/group`)).toEqual(["cgroup.procs"]);
  expect(codeOf(() => realCgroupFs.mkdir(`${root}/group`))).toBe("EEXIST");
  realCgroupFs.rmdir(`${root}/group/a b`);
  expect(realCgroupFs.children(`${root}/group`)).toEqual([]);
  expect(codeOf(() => realCgroupFs.children(`${root}/missing`))).toBe("ENOENT");
});

test("no file is writable but membership and limits", () => {
  expect([...WRITABLE_FILES].sort()).toEqual([
    "blkio.bfq.weight",
    "blkio.throttle.read_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.write_iops_device",
    "cgroup.procs",
    "cgroup.subtree_control",
    "cgroup.threads",
    "cgroup.type",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "cpu.idle",
    "cpu.max",
    "cpu.shares",
    "cpu.weight",
    "cpuset.cpus",
    "cpuset.mems",
    "io.bfq.weight",
    "io.max",
    "io.weight",
    "memory.high",
    "memory.limit_in_bytes",
    "memory.max",
    "memory.soft_limit_in_bytes",
    "memory.swap.max",
    "pids.max",
    "tasks",
  ]);
});

test.each([
  ...["cgroup.kill", "cgroup.freeze", "freezer.state", "memory.force_empty", "memory.reclaim"],
  ...["memory.oom.group", "memory.oom_control", "cgroup.event_control", "release_agent", "devices.deny"],
  ...["mem", "oom_score_adj", "sysrq-trigger", "cgroup.procs/../cgroup.kill", "cpu.max/", ""],
])("write() refuses %s, also where it exists", (name) => {
  const directory = mkdtempSync(`${root}/refused-`);
  if (!name.includes("/") && name !== "") writeFileSync(`${directory}/${name}`, "before");
  expect(codeOf(() => realCgroupFs.write(`${directory}/${name}`, "1"))).not.toBe("no error");
  for (const file of readdirSync(directory))
    expect(readFileSync(`${directory}/${file}`, "utf8")).toBe("before");
});
