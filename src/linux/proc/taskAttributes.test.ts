import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { procTree, statLine } from "../../../test/support/procTree.ts";
import { changeAttributes, planAttributes, restoreAttributes } from "./taskAttributes.ts";

const LIMITS = { oomScoreAdj: 500 };

function process4026() {
  const proc = procTree({ "4026/stat": statLine(), "4026/oom_score_adj": "100\n" });
  const file = `${proc.host.procRoot}/4026/oom_score_adj`;
  return {
    host: proc.host,
    read: () => Number(readFileSync(file, "utf8")),
    write: (value: number) => writeFileSync(file, `${value}\n`),
    /** Gives the pid to another process. */
    reuse: () => writeFileSync(`${proc.host.procRoot}/4026/stat`, statLine({ startTicks: 999 })),
    [Symbol.dispose]: () => proc[Symbol.dispose](),
  };
}

test("a change is planned with the earlier value, applied, and restored", () => {
  using task = process4026();
  const plan = planAttributes(task.host, [4026], LIMITS);
  expect(plan.changes).toMatchObject([{ pid: 4026, attribute: "oom_score_adj", before: 100, after: 500 }]);
  expect(task.read()).toBe(100);
  expect(changeAttributes(task.host, 4026, LIMITS, plan)).toMatchObject([
    { outcome: "applied", actual: "500" },
  ]);
  expect(restoreAttributes(task.host, plan.changes)).toEqual([]);
  expect(task.read()).toBe(100);
});

test("neither a change nor a restore reaches a process that has reused the pid", () => {
  using task = process4026();
  const plan = planAttributes(task.host, [4026], LIMITS);
  task.reuse();
  changeAttributes(task.host, 4026, LIMITS, plan);
  expect(task.read()).toBe(100);
  task.write(500);
  restoreAttributes(task.host, plan.changes);
  expect(task.read()).toBe(500);
});

test("a value that another program has set since is not restored", () => {
  using task = process4026();
  const plan = planAttributes(task.host, [4026], LIMITS);
  changeAttributes(task.host, 4026, LIMITS, plan);
  task.write(900);
  restoreAttributes(task.host, plan.changes);
  expect(task.read()).toBe(900);
});
