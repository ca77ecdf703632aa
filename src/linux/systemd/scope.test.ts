import { expect, test } from "bun:test";
import { fakeV2 } from "../../../test/support/fakeCgroups.ts";
import type { Limits } from "../../limits/limits.ts";
import type { Hierarchy } from "../cgroup/hierarchies.ts";
import type { Bus, BusProperty } from "../systemdBus.ts";
import { startScope } from "./ownScope.ts";
import { planScope, scopeProperties } from "./scope.ts";

const UNIT = "ffrtmp-1f3a9c-job.scope";

function plan(cgroupPath: string, uid = 0, set: Record<string, string> = {}) {
  const fake = fakeV2();
  const [hierarchy] = fake.hierarchies as [Hierarchy];
  let directory = hierarchy.mountPoint;
  const all = "+cpu +memory +pids +io +cpuset";
  for (const part of cgroupPath.split("/").filter(Boolean)) {
    fake.fs.write(`${directory}/cgroup.subtree_control`, all);
    directory += `/${part}`;
    fake.fs.mkdir(directory);
  }
  for (const [file, text] of Object.entries(set)) fake.fs.write(`${directory}/${file}`, text);
  return planScope(fake.fs, hierarchy, cgroupPath, UNIT, uid);
}

test("the scope of root is beside the unit of the process, under the same slice", () => {
  for (const [from, slice, path] of [
    ["/system.slice/nginx.service", "system.slice", "/system.slice"],
    ["/system.slice/system-a.slice/a@1.service", "system-a.slice", "/system.slice/system-a.slice"],
    ["/user.slice/user-0.slice/session-3.scope", "user-0.slice", "/user.slice/user-0.slice"],
    [
      "/user.slice/user-0.slice/user@0.service/app.slice/x.service",
      "user-0.slice",
      "/user.slice/user-0.slice",
    ],
    ["/init.scope", "ffrtmp.slice", "/ffrtmp.slice"],
    ["/", "ffrtmp.slice", "/ffrtmp.slice"],
  ])
    expect(plan(from as string)).toMatchObject({ manager: "system", slice, cgroupPath: `${path}/${UNIT}` });
});

test("the scope of a user is in the manager of the user, in the slice of the process", () => {
  const own = "/user.slice/user-1000.slice/user@1000.service";
  for (const [from, slice] of [
    ["/user.slice/user-1000.slice/session-3.scope", "app.slice"],
    [`${own}/app.slice/x.scope`, "app.slice"],
    [`${own}/background.slice/x.service`, "background.slice"],
  ])
    expect(plan(from as string, 1000)).toMatchObject({
      manager: "user",
      slice,
      cgroupPath: `${own}/${slice}/${UNIT}`,
    });
});

test("a process below a unit of another owner does not leave it for a scope", () => {
  for (const [from, uid] of [
    ["/system.slice/docker-9f2c.scope/init", 0],
    ["/crun-9f2c", 0],
    ["/system.slice/nginx.service", 1000],
    ["/user.slice/user-1000.slice/user@1000.service/app.slice/podman.scope/container", 1000],
  ] as const)
    expect(plan(from, uid)).toBeString();
});

test("the scope carries the limits of the unit", () => {
  expect(
    plan("/system.slice/nginx.service", 0, {
      "cpu.max": "50000 100000",
      "cpu.weight": "20",
      "memory.max": "104857600",
      "pids.max": "50",
      "io.max": "8:0 rbps=1048576",
      "cpuset.cpus": "0",
    }),
  ).toMatchObject({
    carried: {
      cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 },
      cpuWeight: 20,
      memoryMaxBytes: 104_857_600,
      pidsMax: 50,
      cpus: "0",
      ioMax: [{ device: "8:0", rbps: 1_048_576 }],
    },
  });
  expect(plan("/system.slice/nginx.service")).toMatchObject({ carried: {} });
});

test("carried limits are sent as properties of the bus", () => {
  const started: { unit: string; properties: readonly BusProperty[] }[] = [];
  const bus: Bus = {
    startTransientUnit(_manager, unit, properties) {
      started.push({ unit, properties });
      return undefined;
    },
    readProperties: () => ({ reason: "not asked" }),
    inOneConnection: (work) => work(bus),
  };
  const carried: Limits = {
    cpuMax: { quotaUsec: 25_000, periodUsec: 50_000 },
    pidsMax: 50,
    cpus: "0,9",
    ioMax: [{ device: "8:0", rbps: 1000, wbps: "max" }],
  };
  const base = plan("/system.slice/nginx.service");
  if (typeof base === "string") throw new Error(base);
  const properties = scopeProperties({ ...base, carried });
  expect(startScope(bus, { ...base, properties }, 42, "a job")).toBeUndefined();
  const [call] = started;
  expect(call?.unit).toBe(UNIT);
  expect(call?.properties).toEqual([
    ["PIDs", "au", [42]],
    ["Description", "s", "a job"],
    ["Slice", "s", "system.slice"],
    ["DelegateControllers", "as", ["cpu", "io", "memory", "pids"]],
    ["CollectMode", "s", "inactive-or-failed"],
    ["CPUQuotaPerSecUSec", "t", 500_000],
    ["CPUQuotaPeriodUSec", "t", 50_000],
    ["IOReadBandwidthMax", "a(st)", [["/dev/block/8:0", 1000]]],
    ["TasksMax", "t", 50],
    ["AllowedCPUs", "ay", [1, 2]],
  ]);
});

test("the scope carries the swap limit of the unit", () => {
  const fake = fakeV2();
  const [hierarchy] = fake.hierarchies as [Hierarchy];
  const unit = "/system.slice/nginx.service";
  fake.fs.mkdir("/sys/fs/cgroup/system.slice");
  fake.fs.mkdir(`/sys/fs/cgroup${unit}`);
  const read = (path: string): string =>
    path === `/sys/fs/cgroup${unit}/memory.swap.max` ? "0\n" : fake.fs.read(path);
  expect(planScope({ ...fake.fs, read }, hierarchy, unit, UNIT, 0)).toMatchObject({ carriedSwapBytes: 0 });
});
