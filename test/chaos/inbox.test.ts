import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ledger } from "../../src/ledger/ledger.ts";
import { inboxNames, type STEPS } from "../support/inbox.ts";
import { someResult } from "../support/jobs.ts";
import { until } from "../support/sandbox.ts";
import { randomFrom } from "./random.ts";

const KILLS = 60;
const MAX_PAUSE_MS = 80;
const seed = Number(process.env["CHAOS_SEED"] ?? Date.now() % 2 ** 32);
const programs = join(import.meta.dir, "../support/programs");

const children = new Set<Bun.Subprocess>();
const directories: string[] = [];
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all([...children].map((child) => child.exited));
  children.clear();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

interface Announced {
  key: string;
  step: (typeof STEPS)[number];
  pid: number;
  result: unknown;
}

test(`plain launches and their folding survive ${KILLS} random kills, from seed ${seed}`, async () => {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-inbox-chaos-"));
  directories.push(directory);
  const path = join(directory, "state/ledger.db");
  new Ledger(path, () => {}).close();
  const outputs: Promise<string>[] = [];
  let announcements = 0;
  const start = (program: "plainLauncher" | "folder") => {
    const own = join(directory, `announced-${announcements++}`);
    writeFileSync(own, "");
    const command = [process.execPath, join(programs, `${program}.ts`), path, own];
    const child = Bun.spawn(command, { stdout: "ignore", stderr: "pipe" });
    children.add(child);
    outputs.push(child.stderr.text());
    return { child, own };
  };

  const random = randomFrom(seed);
  const running = (["plainLauncher", "plainLauncher", "plainLauncher", "folder", "folder"] as const).map(
    (program) => ({ program, ...start(program) }),
  );
  for (let kill = 0; kill < KILLS; kill++) {
    const victim = random.oneOf(running);
    if (victim.program === "plainLauncher")
      await until("it has recorded something, or has failed", () => {
        const { exitCode, signalCode } = victim.child;
        return statSync(victim.own).size > 0 || exitCode !== null || signalCode !== null;
      });
    await Bun.sleep(random.between(0, MAX_PAUSE_MS));
    victim.child.kill("SIGKILL");
    await victim.child.exited;
    children.delete(victim.child);
    Object.assign(victim, start(victim.program));
  }
  for (const { child } of running) {
    child.kill("SIGKILL");
    await child.exited;
  }

  const announced = new Map<string, Announced>();
  for (const name of readdirSync(directory).filter((each) => each.startsWith("announced-")))
    for (const line of readFileSync(join(directory, name), "utf8").split("\n").slice(0, -1)) {
      const each = JSON.parse(line) as Announced;
      announced.set(each.key, each);
    }
  const messages: string[] = [];
  const ledger = new Ledger(path, (text) => messages.push(text));
  // As the recovery of jobs whose ffrtmp is dead.
  for (const job of ledger.openJobs()) ledger.recordResult(job, someResult(job, { slaReason: "recovered" }));
  expect(
    announced
      .values()
      .flatMap((each) => findLoss(ledger, each))
      .toArray(),
  ).toEqual([]);
  expect((await Promise.all(outputs)).join("")).toBe("");
  expect(messages).toEqual([]);
  expect(inboxNames(path).filter((name) => !isIncomplete(path, name))).toEqual([]);
  const db = new Database(path);
  expect(db.query("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
  expect(db.query("SELECT key FROM jobs EXCEPT SELECT key FROM results").all()).toEqual([]);
  expect(db.query("SELECT key FROM results EXCEPT SELECT key FROM jobs").all()).toEqual([]);
  db.close();
  // Otherwise nothing was tried.
  const isFinished = announced.values().map(({ step }) => step === "finished");
  expect(new Set(isFinished)).toEqual(new Set([true, false]));
}, 300_000);

/** Returns what of an announced launch is not recorded, or is recorded otherwise. */
function findLoss(ledger: Ledger, { key, step, pid, result }: Announced): string[] {
  const job = ledger.job(key);
  if (job === undefined) return [`${key} was ${step} and is lost`];
  const recorded = ledger.result({ key });
  const recovered = someResult({ key }, { slaReason: "recovered" });
  const hasResult = step === "result" || step === "finished";
  return [
    ...(step === "registered" || job.process?.pid === pid ? [] : [`${key} was ${step} as PID ${pid}`]),
    ...((hasResult ? [result] : [result, recovered]).some((each) => Bun.deepEquals(each, recorded))
      ? []
      : [`${key} was ${step} and has the result ${JSON.stringify(recorded)}`]),
    ...(step !== "finished" || (job.state === "ended" && job.cleanedUp) ? [] : [`${key} was cleaned up`]),
  ];
}

/** Returns whether its writer was killed before the first line. */
function isIncomplete(path: string, name: string): boolean {
  return !readFileSync(join(path, "../inbox", name), "utf8").includes("\n");
}
