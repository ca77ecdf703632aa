import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { dirname } from "node:path";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import type { Bus } from "../../linux/systemdBus.ts";
import { planOwnPlace } from "./beside.ts";

const { openOwner } = useGovernedFakes();
const TOP = "/sys/fs/cgroup";
const CONTAINER = "9f2c".repeat(16);

/** A caller in a cgroup that exists, with all cgroups above it giving cpu, memory and pids. */
function callerIn(cgroupPath: string, bus?: Bus): FakeOwner & { planned(): ReturnType<typeof planOwnPlace> } {
  const machine = openOwner("any.service", bus);
  const { fake, context } = machine;
  const { cgroupFs } = context.host;
  const parts = cgroupPath.split("/").filter(Boolean);
  for (let depth = 1; depth <= parts.length; depth++) {
    const path = `${TOP}/${parts.slice(0, depth).join("/")}`;
    if (!cgroupFs.exists(path)) cgroupFs.mkdir(path);
    if (depth < parts.length) cgroupFs.write(`${path}/cgroup.subtree_control`, "+cpu +memory +pids");
  }
  fake.addProcess(4026, cgroupPath);
  return { ...machine, planned: () => planOwnPlace(context, fake.membership(4026)) };
}

function pathOf(cgroupPath: string): string {
  return `${TOP}${cgroupPath}`;
}

test.each(["/media/encoder", "/shell", "/system.slice/any.service/own/caller", "/openrc.sshd"])(
  "a job of a caller in %s is beside it",
  (cgroupPath) => {
    const parent = dirname(pathOf(cgroupPath));
    expect(callerIn(cgroupPath).planned()).toEqual({ placedAs: "beside", parent, carried: {} });
  },
);

test.each([
  ["/system.slice/any.service", "is a unit of systemd"],
  ["/machine.slice", "is a unit of systemd"],
  ["/user.slice/media", "is a unit of systemd"],
  [`/docker/${CONTAINER}`, "is the cgroup of a container"],
  [`/kubepods/pod1/${CONTAINER}`, "is the cgroup of a container"],
  ["/lxc.payload.web", "is the cgroup of a container"],
])("a job of a caller in %s is not beside it: it %s", (cgroupPath, because) => {
  const insteadOf = `${cgroupPath} ${because}`;
  expect(callerIn(cgroupPath).planned()).toMatchObject({
    placedAs: "child",
    insteadOf: expect.stringContaining(insteadOf),
  });
});

test("a job stays in the container of its caller, and can be beside the caller there", () => {
  const parent = pathOf(`/docker/${CONTAINER}`);
  const place = { placedAs: "beside", parent, carried: {} } as const;
  expect(callerIn(`/docker/${CONTAINER}/shell`).planned()).toEqual(place);
});

test("a container that sees the cgroups of the machine is not left", () => {
  const machine = callerIn("/media/encoder");
  const { procRoot } = machine.context.host;
  mkdirSync(`${procRoot}/self/ns`, { recursive: true });
  symlinkSync("pid:[4026532000]", `${procRoot}/self/ns/pid`);
  symlinkSync("cgroup:[4026531835]", `${procRoot}/self/ns/cgroup`);
  expect(machine.planned()).toMatchObject({ insteadOf: expect.stringContaining("of a container") });
});

test("a caller in the root of all cgroups, in a job, or with systemd needs no place beside it", () => {
  const bus: Bus = {
    startTransientUnit: () => "not asked",
    readProperties: () => ({ reason: "not asked" }),
    inOneConnection: (work) => work(bus),
  };
  expect(callerIn("/").planned()).toEqual({ placedAs: "child" });
  expect(callerIn("/media/ffrtmp-1f3a9c-outer").planned()).toEqual({ placedAs: "child" });
  expect(callerIn("/media/encoder", bus).planned()).toEqual({ placedAs: "child" });
});

test("a job on a machine whose controllers of limits are on cgroup v1 needs no place beside its caller", () => {
  const machine = callerIn("/media/encoder");
  machine.context.hierarchies = machine.context.hierarchies.map((hierarchy) => ({
    ...hierarchy,
    controllers: ["hugetlb"],
  }));
  expect(machine.planned()).toEqual({ placedAs: "child" });
});

test("a job is not in a cgroup that this user may not write to, or may put no process into", () => {
  for (const path of [`${TOP}/media`, `${TOP}/media/cgroup.procs`]) {
    const machine = callerIn("/media/encoder");
    machine.fake.setAccess("denied", path);
    expect(machine.planned()).toEqual({
      placedAs: "child",
      insteadOf: `this user may not write to ${path}`,
    });
  }
});

test("a job is not in a cgroup that has processes or threads, unless that is the root of all cgroups", () => {
  const machine = callerIn("/media/encoder");
  const { cgroupFs } = machine.context.host;
  cgroupFs.write(`${TOP}/media/cgroup.subtree_control`, "-cpu -memory -pids");
  machine.fake.addProcess(4030, "/media");
  expect(machine.planned()).toMatchObject({ insteadOf: expect.stringContaining("has processes of its own") });
  const top = callerIn("/encoder");
  top.fake.addProcess(4030, "/");
  expect(top.planned()).toMatchObject({ placedAs: "beside", parent: TOP });
});

test("the limits of the caller's cgroup are carried, and one that cannot be keeps the job below it", () => {
  const machine = callerIn("/media/encoder");
  const { cgroupFs } = machine.context.host;
  cgroupFs.write(`${TOP}/media/encoder/memory.max`, "1073741824");
  const carried = { "memory.max": "1073741824" };
  expect(machine.planned()).toEqual({ placedAs: "beside", parent: `${TOP}/media`, carried });
  machine.fake.set(`${TOP}/media/encoder/cgroup.max.depth`, "2");
  expect(machine.planned()).toMatchObject({ insteadOf: expect.stringContaining("has cgroup.max.depth 2, ") });
});
