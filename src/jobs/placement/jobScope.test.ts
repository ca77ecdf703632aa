import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { lacksRoot, testIf } from "../../../test/support/sandbox.ts";
import type { Bus } from "../../linux/systemdBus.ts";
import { enterOwnScope, planOwnScope } from "./jobScope.ts";

const { openOwner } = useGovernedFakes();
const rootTest = testIf(lacksRoot());

/** A manager that is asked for properties which nobody may see, and that makes no scope. */
function silentBus(): { bus: Bus; calls: string[][] } {
  const calls: string[][] = [];
  const bus: Bus = {
    callManager(_manager, words) {
      calls.push(words);
      return { reason: "no scope" };
    },
    readProperties: () => ({ reason: "no answer" }),
  };
  return { bus, calls };
}

/** This process, as its own governor sees it. */
function standIn({ context }: FakeOwner, cgroupPath: string): void {
  mkdirSync(`${context.host.procRoot}/self`, { recursive: true });
  writeFileSync(`${context.host.procRoot}/self/cgroup`, `0::${cgroupPath}\n`);
}

rootTest(
  "a workload that is started from a unit gets a scope of its own, and from outside of all units none",
  () => {
    const machine = openOwner("cron.service", silentBus().bus);
    standIn(machine, "/system.slice/cron.service");
    expect(planOwnScope(machine.context, "kept", {})).toMatchObject({ slice: "system.slice" });
    for (const path of ["/", "/system.slice"]) {
      standIn(machine, path);
      expect(planOwnScope(machine.context, "kept", {})).toBeUndefined();
    }
  },
);

rootTest("a workload of a governed workload stays inside with it", () => {
  const machine = openOwner("cron.service", silentBus().bus);
  const { tag } = machine.context.state;
  for (const path of [
    `/system.slice/cron.service/ffrtmp-${tag}-outer`,
    `/system.slice/ffrtmp-${tag}-outer.scope/job`,
    `/user.slice/user-0.slice/user@0.service/ffrtmp-${tag}-outer`,
  ]) {
    standIn(machine, path);
    expect(planOwnScope(machine.context, "kept", {})).toBeUndefined();
  }
});

test("without systemd there is no scope to be had", () => {
  const machine = openOwner();
  standIn(machine, "/system.slice/cron.service");
  expect(planOwnScope(machine.context, "kept", {})).toBeUndefined();
});

rootTest(
  "a unit of which it is not known what else it holds is not left, and nothing is asked of systemd",
  () => {
    const { bus, calls } = silentBus();
    const machine = openOwner("cron.service", bus);
    standIn(machine, "/system.slice/cron.service");
    const plan = planOwnScope(machine.context, "kept", {});
    if (!plan) throw new Error("there is a unit to leave");
    expect(enterOwnScope(machine.context, plan, "kept")).toContain(
      "it is not known what else holds cron.service",
    );
    expect(calls).toEqual([]);
  },
);
