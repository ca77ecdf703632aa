import { expect } from "bun:test";
import { lacksCommand, testIf } from "../support/sandbox.ts";
import { describeRound, playRound } from "./round.ts";

const ROUNDS = 8;
const seed = Number(process.env["CHAOS_SEED"] ?? Date.now() % 2 ** 32);

testIf(lacksCommand("perl"))(
  `workloads and records survive random kills of ffrtmp: ${ROUNDS} rounds from seed ${seed}`,
  async () => {
    let knowable = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const played = await playRound(seed + round);
      if (played.violations.length > 0) throw new Error(describeRound(seed + round, played));
      knowable += played.knowable;
    }
    expect(knowable).toBeGreaterThan(0);
  },
  300_000,
);
