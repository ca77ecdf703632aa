import { expect, test } from "bun:test";
import type { BusValue } from "../dbus/wire.ts";
import type { Bus, PropertyAnswer } from "../systemdBus.ts";
import { findUnitFilters } from "./units.ts";

// The answer of systemd 252 for a service that sets none of them.
const UNSET: BusValue[] = ["auto", [], [], [], [], [], [false, []], [], [], []];

function busThatAnswers(answer: PropertyAnswer): Bus {
  const bus: Bus = {
    startTransientUnit: () => "not asked",
    readProperties: () => answer,
    inOneConnection: (work) => work(bus),
  };
  return bus;
}

function answerWith(index: number, value: BusValue): PropertyAnswer {
  return { values: UNSET.with(index, value) };
}

test("processes may leave a unit that sets no filter", () => {
  const bus = busThatAnswers({ values: UNSET });
  expect(findUnitFilters(bus, "/system.slice/nginx.service")).toBeUndefined();
});

test("the reason names each filter that a scope would not enforce", () => {
  const set: [index: number, value: BusValue, name: string][] = [
    [0, "closed", "DevicePolicy"],
    [1, [["/dev/null", "rw"]], "DeviceAllow"],
    [3, [[2, [0, 0, 0, 0], 0]], "IPAddressDeny"],
    [6, [false, ["lo"]], "RestrictNetworkInterfaces"],
    [9, [["egress", "/sys/fs/bpf/x"]], "BPFProgram"],
  ];
  for (const [index, value, name] of set) {
    const reason = findUnitFilters(busThatAnswers(answerWith(index, value)), "/system.slice/a.service");
    expect(reason).toBe(`a.service sets ${name}, which a scope would not enforce`);
  }
});

test("a property that the bus does not return counts as set", () => {
  const silent = busThatAnswers({ reason: "no answer" });
  expect(findUnitFilters(silent, "/system.slice/a.service")).toContain("no answer");
  expect(findUnitFilters(busThatAnswers({ values: [] }), "/system.slice/a.service")).toContain(
    "DevicePolicy",
  );
});

test("a cgroup of no unit, or of a user's manager, has no filters", () => {
  const silent = busThatAnswers({ reason: "no answer" });
  for (const path of [
    "/",
    "/system.slice",
    "/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope",
  ])
    expect(findUnitFilters(silent, path)).toBeUndefined();
});
