import { expect, test } from "bun:test";
import type { Bus, BusAnswer } from "../systemdBus.ts";
import { findUnitFilters } from "./units.ts";

// The answer of systemd 252 for a service that sets none of them.
const UNSET = [
  ...['s "auto"', "a(ss) 0", "a(iayu) 0", "a(iayu) 0", "as 0", "as 0"],
  ...["(bas) false 0", "a(iiqq) 0", "a(iiqq) 0", "a(ss) 0"],
];

function busThatAnswers(answer: BusAnswer): Bus {
  return { callManager: () => ({ reason: "not asked" }), readProperties: () => answer };
}

function answerWith(index: number, line: string): BusAnswer {
  return { answer: UNSET.map((each, at) => (at === index ? line : each)).join("\n") };
}

test("processes may leave a unit that sets no filter", () => {
  const bus = busThatAnswers({ answer: UNSET.join("\n") });
  expect(findUnitFilters(bus, "/system.slice/nginx.service")).toBeUndefined();
});

test("the reason names each filter that a scope would not enforce", () => {
  for (const [index, line, name] of [
    [0, 's "closed"', "DevicePolicy"],
    [1, 'a(ss) 1 "/dev/null" "rw"', "DeviceAllow"],
    [3, "a(iayu) 1 2 4 0 0 0 0 0 1 0", "IPAddressDeny"],
    [6, '(bas) false 1 "lo"', "RestrictNetworkInterfaces"],
    [9, 'a(ss) 1 "egress" "/sys/fs/bpf/x"', "BPFProgram"],
  ] as const) {
    const reason = findUnitFilters(busThatAnswers(answerWith(index, line)), "/system.slice/a.service");
    expect(reason).toBe(`a.service sets ${name}, which a scope would not enforce`);
  }
});

test("a property that the bus does not return counts as set", () => {
  const silent = busThatAnswers({ reason: "no answer" });
  expect(findUnitFilters(silent, "/system.slice/a.service")).toContain("no answer");
  expect(findUnitFilters(busThatAnswers({ answer: "" }), "/system.slice/a.service")).toContain(
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
