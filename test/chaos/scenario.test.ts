import { expect, test } from "bun:test";
import { makeScenario } from "./scenario.ts";

const seeds = Array.from({ length: 200 }, (_, seed) => seed);

test("a seed always makes the same scenario, and another seed makes another one", () => {
  for (const seed of seeds) expect(makeScenario(seed)).toEqual(makeScenario(seed));
  expect(new Set(seeds.map((seed) => JSON.stringify(makeScenario(seed).actions))).size).toBe(seeds.length);
});

test("actions are ordered by time, and every workload starts once", () => {
  for (const { workloads, actions } of seeds.map(makeScenario)) {
    const times = actions.map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    const started = actions.flatMap((action) => (action.kind === "start" ? [action.workload] : []));
    expect(started.sort()).toEqual(workloads.map(({ id }) => id).sort());
  }
});

test("every kind of start, end and signal occurs", () => {
  const scenarios = seeds.map(makeScenario);
  const workloads = scenarios.flatMap((scenario) => scenario.workloads);
  const origins = new Set(workloads.map(({ origin }) => origin));
  expect([...origins].sort()).toEqual(["attach", "neglect", "run", "run -d", "watch"]);
  const ends = new Set(workloads.map(({ end }) => Object.keys(end)[0]));
  expect([...ends].sort()).toEqual(["code", "signal"]);
  const signals = scenarios.flatMap(({ actions }) =>
    actions.flatMap((action) =>
      action.kind === "signal" ? [`${action.governor.split(" ")[0]} ${action.signal}`] : [],
    ),
  );
  for (const governor of ["watch", "wrapper", "observer"]) {
    for (const signal of ["SIGKILL", "SIGTERM", "SIGINT", "SIGSTOP"]) {
      expect(signals).toContain(`${governor} ${signal}`);
    }
  }
});
