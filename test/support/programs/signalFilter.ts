/**
 * Gives up the power to signal and prints, as one JSON object, what each call answers before and after it
 * in the first thread and in others, what happens to a real bystander, and how ordinary work goes on.
 */
import { Database } from "bun:sqlite";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { tryForbiddenCalls } from "../../../src/sys/forbiddenCalls.ts";
import { syscall } from "../../../src/sys/libc.ts";
import { installSignalFilter } from "../../../src/sys/seccomp.ts";

const SIGKILL = 9;
/** Ignored unless asked for: nothing happens to the group where the filter fails. */
const SIGURG = 23;
const THREADS = 3;

function startThread(): Worker {
  return new Worker(new URL(import.meta.url));
}

/** Makes garbage and has it collected, by which the runtime stops its threads with signals. */
function churn(): number {
  let kept = 0;
  for (let round = 0; round < 20; round++) {
    kept += Array.from({ length: 20_000 }, (_, index) => ({ index, text: `${round}-${index}` })).length;
    Bun.gc(true);
  }
  return kept;
}

function ask(thread: Worker, question: string): Promise<unknown> {
  const answer = new Promise((resolve) => thread.once("message", resolve));
  thread.postMessage(question);
  return answer;
}

async function runFirstThread() {
  const bystander = Bun.spawn(["sleep", "60"], { stdio: ["ignore", "ignore", "ignore"] });
  const earlier = Array.from({ length: THREADS }, startThread);
  await Promise.all(earlier.map((thread) => ask(thread, "calls")));
  const before = tryForbiddenCalls();
  const givenUp = installSignalFilter();
  const later = startThread();
  const report = {
    pid: process.pid,
    bystander: bystander.pid,
    before,
    givenUp,
    after: tryForbiddenCalls(),
    inEarlierThread: await ask(earlier[0] ?? later, "calls"),
    inLaterThread: await ask(later, "calls"),
    killBystander: syscall("kill", bystander.pid, SIGKILL),
    signalOwnGroup: syscall("kill", 0, SIGURG),
    killByRuntime: tryToKill(() => process.kill(bystander.pid, "SIGKILL")),
    killBySubprocess: tryToKill(() => bystander.kill("SIGKILL")),
    bystanderExists: syscall("kill", bystander.pid, 0),
    stopOwnThread: syscall("tgkill", process.pid, syscall("gettid"), 0),
    churned: await Promise.all([...earlier, later].map((thread) => ask(thread, "churn"))),
    churnedHere: churn(),
    work: await workOn(),
    givenUpAgain: installSignalFilter(),
  };
  process.stdout.write(JSON.stringify(report));
  // The bystander is left to whoever reads this: we cannot end it any more
  process.exit(0);
}

function tryToKill(kill: () => unknown): string {
  try {
    kill();
    return "no error";
  } catch (error) {
    return String(error);
  }
}

async function workOn() {
  const folder = mkdtempSync(join(tmpdir(), "ffrtmp-seccomp-"));
  try {
    writeFileSync(`${folder}/file`, "text");
    const database = new Database(`${folder}/ledger.db`);
    database.run("PRAGMA journal_mode = WAL");
    database.run("CREATE TABLE jobs (id INTEGER PRIMARY KEY)");
    database.run("INSERT INTO jobs VALUES (1), (2)");
    const rows = database.query("SELECT count(*) AS count FROM jobs").get();
    database.close();
    await Bun.sleep(20);
    return { file: readFileSync(`${folder}/file`, "utf8"), rows };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (isMainThread) await runFirstThread();
else {
  parentPort?.on("message", (question) => {
    parentPort?.postMessage(question === "calls" ? tryForbiddenCalls() : churn());
  });
}
