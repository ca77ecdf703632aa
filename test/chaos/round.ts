import { Sandbox } from "../support/sandbox.ts";
import type { Facts } from "./facts.ts";
import { judge, type Verdict } from "./judge.ts";
import { play } from "./play.ts";
import { makeScenario } from "./scenario.ts";

/** Runs and judges the scenario of a seed. Leaves nothing behind. */
export async function playRound(seed: number): Promise<Verdict & { facts: Facts }> {
  const sandbox = new Sandbox();
  try {
    const facts = await play(sandbox, makeScenario(seed));
    return { ...judge(facts), facts };
  } finally {
    await sandbox.close();
  }
}

/** Describes the violations of a round, its observations, and how to run it again. */
export function describeRound(seed: number, { violations, facts }: Verdict & { facts: Facts }): string {
  const blamed = facts.workloads.filter(({ plan, own }) =>
    violations.some((text) => text.includes(plan.id) || text.includes(String(own.started?.pid ?? "none"))),
  );
  return [
    ...violations.map((text) => `VIOLATION ${text}`),
    ...blamed.map((workload) => JSON.stringify(workload)),
    ...makeScenario(seed).actions.map((action) => JSON.stringify(action)),
    ...facts.jobs.map((job) => JSON.stringify(job)),
    ...facts.governors.map((governor) => JSON.stringify(governor)),
    `try: node_modules/.bin/bun test/chaos/run.ts --rounds 1 --seed ${seed}`,
  ].join("\n");
}
