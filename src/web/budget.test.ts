import { expect, test } from "bun:test";
import { Budget } from "./budget.ts";

/** A budget whose work takes CPU time, and time that passes. */
function start() {
  const times = { now: 0, cpu: 0 };
  const budget = new Budget(
    () => times.now,
    () => times.cpu,
  );
  const work = (cpuMs: number) => {
    times.cpu += cpuMs;
    return "done";
  };
  return { budget, times, work };
}

test("requests are answered until they have taken a quarter of a second, and again after a pause", () => {
  const { budget, times, work } = start();
  for (let n = 0; n < 5; n++) expect(budget.spend(() => work(50))).toBe("done");
  expect(budget.spend(() => work(50))).toBeUndefined();
  times.now += 200;
  expect(budget.spend(() => work(50))).toBe("done");
  expect(budget.spend(() => work(50))).toBeUndefined();
  times.now += 60_000;
  for (let n = 0; n < 5; n++) expect(budget.spend(() => work(50))).toBe("done");
});

test("time in which the machine did other work does not count", () => {
  const { budget, times, work } = start();
  const slow = () => {
    times.now += 10_000;
    return work(1);
  };
  for (let n = 0; n < 100; n++) expect(budget.spend(slow)).toBe("done");
});

test("a request that fails has taken its time too", () => {
  const { budget, work } = start();
  const fail = () => {
    work(300);
    throw new Error("no");
  };
  expect(() => budget.spend(fail)).toThrow("no");
  expect(budget.spend(() => work(1))).toBeUndefined();
});
