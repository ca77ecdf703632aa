import { Sandbox } from "../support/sandbox.ts";
import type { Facts } from "./facts.ts";
import { judge, type Verdict } from "./judge.ts";
import { play } from "./play.ts";
import { makeScenario } from "./scenario.ts";

/** Plays and judges what one seed determines. Leaves nothing behind. */
export async function playRound(seed: number): Promise<Verdict & { facts: Facts }> {
  const sandbox = new Sandbox();
  try {
    const facts = await play(sandbox, makeScenario(seed));
    return { ...judge(facts), facts };
  } finally {
    await sandbox.close();
  }
}

/** What a reader needs to see what went wrong, and to play it again. */
export function describeRound(seed: number, { violations, facts }: Verdict & { facts: Facts }): string {
  const blamed = facts.workloads.filter(({ plan, own }) =>
    violations.some((text) => text.includes(plan.id) || text.includes(String(own.begun?.pid ?? "none"))),
  );
  return [
    ...violations.map((text) => `VIOLATION ${text}`),
    ...blamed.map((workload) => JSON.stringify(workload)),
    ...makeScenario(seed).actions.map((action) => JSON.stringify(action)),
    ...facts.jobs.map((job) => JSON.stringify(job)),
    ...facts.governors.map((governor) => JSON.stringify(governor)),
    `to play it again: node_modules/.bin/bun test/chaos/run.ts --rounds 1 --seed ${seed}`,
  ].join("\n");
}
