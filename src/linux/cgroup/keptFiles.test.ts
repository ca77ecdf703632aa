import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { fakeV2 } from "../../../test/support/fakeCgroups.ts";
import { findRealCgroups } from "../../../test/support/realCgroups.ts";
import { type CgroupFs, realCgroupFs } from "../cgroupFs.ts";
import { realHost } from "../host.ts";
import { readLink } from "../proc/table.ts";
import { directoryOf } from "./hierarchies.ts";
import { KeptFiles } from "./keptFiles.ts";

const real = [findRealCgroups(1), findRealCgroups(2)].find((found) => typeof found !== "string");
if (real === undefined) console.log("not tried: control files that stay open: needs root to make cgroups");
const realTest = test.skipIf(real === undefined);

function makeCgroup(): string {
  if (real === undefined || typeof real === "string") throw new Error("there is no cgroup to make one in");
  const [hierarchy] = real.hierarchies;
  const parent = hierarchy && directoryOf(hierarchy, real.membership.get(hierarchy.key) ?? "");
  const path = `${parent}/ffrtmp-test-kept-${process.pid}`;
  realCgroupFs.mkdir(path);
  return path;
}

/** Returns how many files of a cgroup are open: other tests of this process open and close their own. */
function countOpen(path: string): number {
  const links = readdirSync("/proc/self/fd").map((fd) => readLink(realHost(), `self/fd/${fd}`));
  return links.filter((link) => link?.startsWith(`${path}/`)).length;
}

realTest("a kept file has the present text, also after its cgroup was made again", () => {
  const path = makeCgroup();
  const { fs, close } = new KeptFiles().view(realCgroupFs);
  try {
    const read = () => fs.read(`${path}/cgroup.procs`);
    expect([read(), read()]).toEqual(["", ""]);
    realCgroupFs.rmdir(path);
    expect(read).toThrow(expect.objectContaining({ code: "ENOENT" }));
    realCgroupFs.mkdir(path);
    const child = Bun.spawnSync(["sh", "-c", `echo $$ > ${path}/cgroup.procs && cat ${path}/cgroup.procs`]);
    expect(child.stdout.toString()).not.toBe("");
    expect(read()).toBe("");
  } finally {
    close();
    realCgroupFs.rmdir(path);
  }
});

realTest("no more files stay open than the limit, and none after close", () => {
  const path = makeCgroup();
  try {
    const kept = new KeptFiles(2);
    const [first, second] = [kept.view(realCgroupFs), kept.view(realCgroupFs)];
    const files = ["cgroup.procs", "notify_on_release", "tasks", "cgroup.threads"].filter((file) =>
      realCgroupFs.exists(`${path}/${file}`),
    );
    for (const file of files) {
      for (const { fs } of [first, second, first])
        expect(fs.read(`${path}/${file}`)).toBe(realCgroupFs.read(`${path}/${file}`));
    }
    expect(countOpen(path)).toBe(2);
    first.close();
    second.fs.read(`${path}/cgroup.procs`);
    second.close();
    second.close();
    expect(countOpen(path)).toBe(0);
  } finally {
    realCgroupFs.rmdir(path);
  }
});

realTest("files that are read seldom take the room that is free, and give it to others", () => {
  const path = makeCgroup();
  try {
    const kept = new KeptFiles(4);
    const [often, seldom] = [kept.view(realCgroupFs), kept.view(realCgroupFs, "seldom")];
    const names = ["cgroup.procs", "notify_on_release", "tasks", "cgroup.clone_children"];
    const files = [...names, "cgroup.threads", "cgroup.events", "cgroup.stat"].filter((file) =>
      realCgroupFs.exists(`${path}/${file}`),
    );
    const readAll = (fs: CgroupFs) => files.map((file) => fs.read(`${path}/${file}`));
    const texts = readAll(seldom.fs);
    expect(countOpen(path)).toBe(4);
    expect(readAll(often.fs)).toEqual(texts);
    expect(readAll(seldom.fs)).toEqual(texts);
    expect(countOpen(path)).toBe(4);
    // All of them are the others'.
    seldom.close();
    expect(countOpen(path)).toBe(4);
    often.close();
    expect(countOpen(path)).toBe(0);
  } finally {
    realCgroupFs.rmdir(path);
  }
});

test("files of other cgroups than the real ones are read each time", () => {
  const { fs } = fakeV2();
  const counted: string[] = [];
  const counting: CgroupFs = {
    ...fs,
    read(path) {
      counted.push(path);
      return fs.read(path);
    },
  };
  const view = new KeptFiles().view(counting);
  const path = "/sys/fs/cgroup/cgroup.controllers";
  expect([view.fs.read(path), view.fs.read(path)]).toEqual([fs.read(path), fs.read(path)]);
  expect(counted).toEqual([path, path]);
  view.close();
});
