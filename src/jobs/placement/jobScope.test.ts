import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { lacksRoot, testIf } from "../../../test/support/sandbox.ts";
import type { Bus } from "../../linux/systemdBus.ts";
import { enterOwnScope, planOwnScope } from "./jobScope.ts";

const { openOwner } = useGovernedFakes();
const rootTest = testIf(lacksRoot());
const KEPT = { jobId: "kept", limits: {} };

/** A manager that returns no properties and starts no scope. */
function silentBus(): { bus: Bus; started: string[] } {
  const started: string[] = [];
  const bus: Bus = {
    startTransientUnit(_manager, unit) {
      started.push(unit);
      return "no scope";
    },
    readProperties: () => ({ reason: "no answer" }),
    inOneConnection: (work) => work(bus),
  };
  return { bus, started };
}

/** Writes the cgroup of this process, as ffrtmp reads it. */
function standIn({ context }: FakeOwner, cgroupPath: string): void {
  mkdirSync(`${context.host.procRoot}/self`, { recursive: true });
  writeFileSync(`${context.host.procRoot}/self/cgroup`, `0::${cgroupPath}\n`);
}

rootTest(
  "a workload that is started from a unit gets its own scope, and one from outside of all units gets none",
  () => {
    const machine = openOwner("cron.service", silentBus().bus);
    standIn(machine, "/system.slice/cron.service");
    expect(planOwnScope(machine.context, KEPT)).toMatchObject({ slice: "system.slice" });
    for (const path of ["/", "/system.slice"]) {
      standIn(machine, path);
      expect(planOwnScope(machine.context, KEPT)).toBeUndefined();
    }
  },
);

rootTest("a workload of a governed workload stays in the cgroup of that one", () => {
  const machine = openOwner("cron.service", silentBus().bus);
  const { tag } = machine.context.state;
  for (const path of [
    `/system.slice/cron.service/ffrtmp-${tag}-outer`,
    `/system.slice/ffrtmp-${tag}-outer.scope/job`,
    `/user.slice/user-0.slice/user@0.service/ffrtmp-${tag}-outer`,
  ]) {
    standIn(machine, path);
    expect(planOwnScope(machine.context, KEPT)).toBeUndefined();
  }
});

test("without systemd a workload gets no scope", () => {
  const machine = openOwner();
  standIn(machine, "/system.slice/cron.service");
  expect(planOwnScope(machine.context, KEPT)).toBeUndefined();
});

rootTest(
  "a workload does not leave a unit whose restrictions cannot be read, and systemd gets no request",
  () => {
    const { bus, started } = silentBus();
    const machine = openOwner("cron.service", bus);
    standIn(machine, "/system.slice/cron.service");
    const plan = planOwnScope(machine.context, KEPT);
    if (!plan) throw new Error("there is a unit to leave");
    expect(enterOwnScope(machine.context, plan, "kept")).toContain(
      "the restrictions of cron.service cannot be read",
    );
    expect(started).toEqual([]);
  },
);
