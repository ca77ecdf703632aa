import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { lacksRoot, testIf } from "../../../test/support/sandbox.ts";
import type { Placement } from "../../linux/cgroup/placement.ts";
import type { BusValue } from "../../linux/dbus/wire.ts";
import type { Bus, PropertyAnswer } from "../../linux/systemdBus.ts";
import { type PlannedPlace, planPlace } from "./placement.ts";

const { openOwner } = useGovernedFakes();
const rootTest = testIf(lacksRoot());

// As systemd 252 answers for a unit that restricts neither devices nor addresses.
const UNRESTRICTED: BusValue[] = ["auto", [], [], [], [], [], [false, []], [], [], []];
const NOT_DELEGATED: PropertyAnswer = { values: [false] };

function busOf(delegate: PropertyAnswer, filters: PropertyAnswer = { values: UNRESTRICTED }): Bus {
  const bus: Bus = {
    startTransientUnit: () => "not asked",
    readProperties: (_manager, _unit, _type, names) => (names[0] === "Delegate" ? delegate : filters),
    inOneConnection: (work) => work(bus),
  };
  return bus;
}

function place({ fake, context }: FakeOwner, placement: Placement, pid = 4026): PlannedPlace {
  return planPlace(context, pid, fake.membership(pid), { jobId: "kept", limits: {}, placement });
}

test("other processes in its cgroup keep a workload from being governed in place, and the message names them", () => {
  const machine = openOwner();
  machine.start(4026, 1);
  machine.start(4027, 4026);
  expect(place(machine, "auto")).toEqual({ place: { placedAs: "in-place" } });
  machine.start(4028, 1);
  expect(place(machine, "auto")).toEqual({ place: { placedAs: "child" } });
  expect(() => place(machine, "in-place")).toThrow("contains other processes: PID 4028");
});

test("a process in the job of another user's ffrtmp is governed below that job, not in place", () => {
  const machine = openOwner();
  machine.context.host.cgroupFs.mkdir(`${machine.owner}/ffrtmp-000000-theirs`);
  machine.fake.addProcess(4026, "/system.slice/encoder.service/ffrtmp-000000-theirs");
  expect(place(machine, "auto")).toEqual({ place: { placedAs: "child" } });
  expect(place(machine, "in-place")).toEqual({ place: { placedAs: "in-place" } });
});

test("processes in child cgroups count as being in a cgroup", () => {
  const machine = openOwner();
  machine.start(4026, 1);
  machine.context.host.cgroupFs.mkdir(`${machine.owner}/own`);
  machine.fake.addProcess(4028, "/system.slice/encoder.service/own");
  expect(() => place(machine, "in-place")).toThrow("contains other processes: PID 4028");
});

test("a cgroup of threads is not governed in place: it shares memory and io with others", () => {
  const machine = openOwner();
  machine.start(4026, 1);
  const { cgroupFs } = machine.context.host;
  cgroupFs.mkdir(`${machine.owner}/threads`);
  cgroupFs.write(`${machine.owner}/threads/cgroup.type`, "threaded");
  expect(place(machine, "auto")).toEqual({ place: { placedAs: "child" } });
  expect(() => place(machine, "in-place")).toThrow("is domain threaded, and shares its memory");
});

test("a process in the root of all cgroups is not governed in place, and is not moved to a scope", () => {
  const machine = openOwner();
  machine.fake.addProcess(4026, "/");
  expect(place(machine, "auto")).toEqual({ place: { placedAs: "child" } });
  for (const placement of ["in-place", "scope"] as const)
    expect(() => place(machine, placement)).toThrow("is the root of all cgroups");
});

test("without systemd a scope is a cgroup beside the process's own, with its limits", () => {
  const machine = openOwner();
  const { cgroupFs } = machine.context.host;
  for (const path of ["media", "media/encoder"]) cgroupFs.mkdir(`/sys/fs/cgroup/${path}`);
  cgroupFs.write("/sys/fs/cgroup/media/cgroup.subtree_control", "+memory");
  cgroupFs.write("/sys/fs/cgroup/media/encoder/memory.max", "1073741824");
  machine.fake.addProcess(4026, "/media/encoder");
  const carried = { "memory.max": "1073741824" };
  expect(place(machine, "scope")).toEqual({
    place: { placedAs: "beside", parent: "/sys/fs/cgroup/media", carried },
  });
});

test("without systemd no process is moved out of the cgroup of a unit, which has a systemd elsewhere", () => {
  const machine = openOwner();
  machine.start(4026, 1);
  expect(() => place(machine, "scope")).toThrow("/system.slice/encoder.service is a unit of systemd");
});

test("without systemd no process is moved out of a frozen cgroup, where it would run again", () => {
  const machine = openOwner();
  const { cgroupFs } = machine.context.host;
  for (const path of ["media", "media/encoder"]) cgroupFs.mkdir(`/sys/fs/cgroup/${path}`);
  machine.fake.addProcess(4026, "/media/encoder");
  machine.fake.set("/sys/fs/cgroup/media/encoder/cgroup.freeze", "1");
  expect(() => place(machine, "scope")).toThrow("has cgroup.freeze 1, which cannot be carried");
});

rootTest("a scope is in the slice of the unit, and carries the limits of the unit", () => {
  const machine = openOwner("encoder.service", busOf(NOT_DELEGATED));
  machine.start(4026, 1);
  machine.context.host.cgroupFs.write(`${machine.owner}/memory.max`, "1073741824");
  const { scope } = place(machine, "scope");
  expect(scope).toMatchObject({ slice: "system.slice", carried: { memoryMaxBytes: 1_073_741_824 } });
});

rootTest("no process is moved to a scope out of a unit that is delegated, or may be", () => {
  for (const answer of [{ values: [true] }, { reason: "no answer" }, { values: [] }]) {
    const machine = openOwner("encoder.service", busOf(answer));
    machine.start(4026, 1);
    expect(() => place(machine, "scope")).toThrow("encoder.service is delegated");
  }
  const machine = openOwner("encoder.service", busOf(NOT_DELEGATED));
  const { cgroupFs } = machine.context.host;
  cgroupFs.mkdir(`${machine.owner}/inner`);
  machine.fake.addProcess(4026, "/system.slice/encoder.service/inner");
  expect(() => place(machine, "scope")).toThrow("encoder.service is delegated");
});

rootTest("the last process of a scope does not leave it: systemd would remove the scope", () => {
  const machine = openOwner("session-3.scope", busOf(NOT_DELEGATED));
  machine.start(4026, 1);
  expect(() => place(machine, "scope")).toThrow("removes session-3.scope when its last process leaves");
  machine.start(4027, 1);
  expect(place(machine, "scope").place).toMatchObject({ placedAs: "scope" });
});

rootTest(
  "no process leaves a unit that restricts devices or addresses, or whose restrictions cannot be read",
  () => {
    const restricted = { values: UNRESTRICTED.with(0, "closed") };
    for (const filters of [restricted, { reason: "no answer" }]) {
      const machine = openOwner("encoder.service", busOf(NOT_DELEGATED, filters));
      machine.start(4026, 1);
      expect(() => place(machine, "scope")).toThrow("cannot move process 4026 to a scope");
    }
  },
);

test("no process is moved to a scope out of a container", () => {
  for (const kind of ["pid", "cgroup"]) {
    const machine = openOwner();
    machine.start(4026, 1);
    const { procRoot } = machine.context.host;
    for (const [who, namespace] of [
      ["self", "1"],
      ["4026", "2"],
    ]) {
      mkdirSync(`${procRoot}/${who}/ns`, { recursive: true });
      for (const each of ["pid", "cgroup"])
        symlinkSync(`${each}:[${each === kind ? namespace : 0}]`, `${procRoot}/${who}/ns/${each}`);
    }
    expect(() => place(machine, "scope")).toThrow(`its ${kind} namespace is another`);
    expect(place(machine, "auto").place).toEqual({ placedAs: "in-place" });
  }
});
