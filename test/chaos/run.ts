import { parseArgs } from "node:util";
import { describeRound, playRound } from "./round.ts";

/** `node_modules/.bin/bun test/chaos/run.ts --rounds N --seed S` runs N scenarios, from seed S on. */
const { values } = parseArgs({ options: { rounds: { type: "string" }, seed: { type: "string" } } });
const rounds = Number(values.rounds ?? 100);
const seed = Number(values.seed ?? Date.now() % 2 ** 32);
let failed = 0;

console.log(`${rounds} rounds from seed ${seed}`);
for (let round = 0; round < rounds; round++) {
  const played = await playRound(seed + round);
  const { violations, known, knowable, unknown } = played;
  const counts = `${known} known ends (${knowable} were observed), ${unknown} unknown with a reason`;
  console.log(`seed ${seed + round}: ${violations.length === 0 ? "ok" : "FAILED"}, ${counts}`);
  if (violations.length === 0) continue;
  failed++;
  console.log(describeRound(seed + round, played));
}
console.log(`${rounds - failed} of ${rounds} rounds ok`);
process.exit(failed === 0 ? 0 : 1);
