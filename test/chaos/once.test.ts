import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { until, useSandbox } from "../support/sandbox.ts";
import { randomFrom } from "./random.ts";

const ROUNDS = 25;
/** A start takes some 50 ms on a quiet machine. */
const MAX_PAUSE_MS = 90;
const MAX_TRIES = 3;
const seed = Number(process.env["CHAOS_SEED"] ?? Date.now() % 2 ** 32);

const sandbox = useSandbox();

function linesOf(name: string): number {
  const path = sandbox().path(name);
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0;
}

test(`with --once, ${ROUNDS} ids whose starts are killed and tried again start no workload twice, from seed ${seed}`, async () => {
  const random = randomFrom(seed);
  let [killed, survived] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const jobId = `job-${round}`;
    const how = random.oneOf([["run"], ["run", "--detach"], ["exec"]]);
    const words = [...how, "--once", "--job-id", jobId, "--", "sh", "-c"];
    const command = [...words, `echo started >> ${sandbox().path(jobId)}`];
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const child = sandbox().start(command, { stdout: "ignore", stderr: "ignore" });
      await Bun.sleep(random.between(0, MAX_PAUSE_MS));
      child.kill("SIGKILL");
      await child.exited;
      if (child.signalCode === "SIGKILL") killed++;
      else survived++;
    }
    // At the latest now something is known of the id: it starts, or it was used.
    const { code, stderr } = await sandbox().run(command);
    const isUsed = code === 125;
    expect(isUsed ? stderr : `code ${code}`).toMatch(/^code 0$|--once refuses the job id \S+: it was used/);
    // What a killed --detach has left in the background goes on to start, or is refused.
    await until(`${jobId} has ended`, async () => {
      const { stdout } = await sandbox().run(["inspect", jobId, "--json"]);
      return stdout !== "" && JSON.parse(stdout).state === "ended";
    });
    expect(await sandbox().json(["history", jobId])).toHaveLength(1);
    // A start can be killed between its record and the workload: then there is none.
    expect(linesOf(jobId)).toBeLessThanOrEqual(1);
    expect(linesOf(jobId)).toBeGreaterThanOrEqual(isUsed ? 0 : 1);
  }
  console.log(`${killed} starts were killed, ${survived} had ended before`);
});
