import { Database } from "bun:sqlite";
import { copyFileSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { locateState } from "../src/ledger/location.ts";
import { abandon, prune } from "../src/ledger/prune.ts";
import { realHost } from "../src/linux/host.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { governedHierarchies, removeGroups } from "./lib/cgroups.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { eventually, Processes, readCpuSeconds } from "./lib/processes.ts";
import { median, quantile, shuffled } from "./lib/statistics.ts";
import { markdownTable, ms, target } from "./lib/table.ts";

const ROWS = [0, 100_000, 1_000_000];
const GAP_MS = 60;
const PATIENCE_MS = 10_000;
const MAX_RATIO = 1.1;
const STEPS = 500;
/** A daemon deletes for the first time 5 s after its start. */
const FIRST_PASS_MS = 6000;
const UNLIMITED = ["--retention-max-age", "unlimited", "--retention-max-size", "unlimited"];

/** A daemon whose ledger already has some ended jobs. */
interface Subject {
  name: string;
  state: string;
  program: string;
  child: Bun.Subprocess;
  latenciesMs: number[];
  cpuMs: number[];
  runMs: number[];
}

/**
 * Measures daemons whose ledgers have different histories, in turns: the time from an exec until the process is in its
 * cgroup, the CPU time of the daemon for each job, and a start by `ffrtmp run`. Then the longest history is deleted.
 */
export const endurance: Benchmark = {
  title: "Endurance: governing with a long history, and while it is deleted",
  needs: {},
  async run({ quick }) {
    using ffrtmp = new FfrtmpUnderTest();
    await using processes = new Processes();
    const rounds = quick ? 30 : 100;
    const subjects: Subject[] = [];
    for (const rows of quick ? ROWS.slice(0, 2) : ROWS) {
      progress(`a ledger with ${rows} ended jobs`);
      subjects.push(await startSubject(ffrtmp, processes, rows));
    }
    progress("in turns");
    for (let round = 0; round < rounds; round++) {
      for (const subject of shuffled(subjects)) await measure(ffrtmp, subject);
    }
    const [empty, longest] = [subjects[0], subjects.at(-1)] as [Subject, Subject];
    progress("while the longest history is deleted");
    await processes.stop(longest.child);
    const child = await startWatch(ffrtmp, processes, longest, ["--retention-max-age", "1h"]);
    const name = `${longest.name}, while they are deleted`;
    const pruning: Subject = { ...longest, name, child, latenciesMs: [], cpuMs: [], runMs: [] };
    await Bun.sleep(FIRST_PASS_MS);
    for (let round = 0; round < rounds; round++) await measure(ffrtmp, pruning);
    await processes.stop(child);
    progress("the steps of a deletion");
    const stepsMs = await timeSteps(longest.state);
    for (const { state } of subjects) removeGroups(governed, prefixOf(state));
    return report(subjects, empty, pruning, stepsMs);
  },
};

/** Returns the times of the first steps of a deletion, each with its commit. */
async function timeSteps(statePath: string): Promise<number[]> {
  const options = { host: realHost(), state: locateState(statePath, {}), nowMs: Date.now(), countLogs: true };
  const pass = prune({ ...options, retention: { maxAgeMs: 3_600_000, maxBytes: Number.POSITIVE_INFINITY } });
  const times: number[] = [];
  while (times.length < STEPS) {
    const from = performance.now();
    const { done } = pass.next();
    times.push(performance.now() - from);
    if (done) return times;
    await Bun.sleep(3);
  }
  abandon(pass);
  return times;
}

function report(subjects: Subject[], empty: Subject, pruning: Subject, stepsMs: number[]): string {
  const rows = [...subjects, pruning].map(({ name, latenciesMs, cpuMs, runMs }) => [
    name,
    ...[0.5, 0.95, 1].map((share) => ms(quantile(latenciesMs, share))),
    ms(median(cpuMs)),
    ms(median(runMs)),
  ]);
  const ratios = (of: (subject: Subject) => number[]) =>
    subjects.slice(1).map((subject) => median(of(subject)) / median(of(empty)));
  const reached = (text: string, values: number[]) =>
    target(
      `${text} at most ${MAX_RATIO} times that of an empty ledger: ${values.map((value) => value.toFixed(2)).join(", ")}`,
      values.every((value) => value <= MAX_RATIO),
    );
  const longest = Math.max(...stepsMs);
  return [
    markdownTable(["ms, the ledger has", "discovery p50", "p95", "max", "CPU per job", "run -- true"], rows),
    "",
    `${empty.latenciesMs.length} processes of each, in turns. ${stepsMs.length} steps of a deletion: median ${ms(median(stepsMs))} ms, p99 ${ms(quantile(stepsMs, 0.99))} ms.`,
    "",
    reached(
      "discovery p50",
      ratios(({ latenciesMs }) => latenciesMs),
    ),
    reached(
      "CPU per job",
      ratios(({ cpuMs }) => cpuMs),
    ),
    target(`no step of a deletion takes more than 50 ms: ${ms(longest)}`, longest <= 50),
  ].join("\n");
}

async function startSubject(ffrtmp: FfrtmpUnderTest, processes: Processes, rows: number): Promise<Subject> {
  const state = join(ffrtmp.directory, `state-${rows}`);
  const program = join(ffrtmp.directory, `ffb-end-${rows}`);
  copyFileSync("/bin/sleep", program);
  runTrue(ffrtmp, state);
  if (rows > 0) addHistory(locateState(state, {}).ledger, rows);
  const subject: Omit<Subject, "child"> = {
    name: `${rows.toLocaleString("en")} jobs`,
    state,
    program,
    latenciesMs: [],
    cpuMs: [],
    runMs: [],
  };
  return { ...subject, child: await startWatch(ffrtmp, processes, subject, UNLIMITED) };
}

async function startWatch(
  ffrtmp: FfrtmpUnderTest,
  processes: Processes,
  { program, state }: Pick<Subject, "program" | "state">,
  flags: string[],
): Promise<Bun.Subprocess> {
  const log = join(state, `watch-${flags.length}.log`);
  const name = program.slice(dirname(program).length + 1);
  const child = processes.start(
    [ffrtmp.executable, "watch", "--target", name, "--cpu-quota", "100", ...flags],
    { env: { FFRTMP_STATE: state }, stderr: openSync(log, "a") },
  );
  await eventually("ffrtmp watch is ready", () =>
    readFileSync(log, "utf8").includes("Watching for") ? true : undefined,
  );
  return child;
}

/** Multiplies the one ended job of a ledger, with its result and an event, one job every 5 seconds up to now. */
function addHistory(path: string, rows: number): void {
  const db = new Database(path);
  db.run("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000");
  const key = "printf('%08x-%04x-7000-8000-%012x', i / 65536, i % 65536, i)";
  const endMs = `${Date.now()} - (${rows} - i) * 5000`;
  const sequence = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})`;
  const copy = (table: string, changed: Record<string, string>) => {
    const names = db
      .query<{ name: string }, []>(`PRAGMA table_info(${table})`)
      .all()
      .map(({ name }) => name);
    const values = names.map((name) => changed[name] ?? `original.${name}`).join();
    db.run(
      `${sequence} INSERT INTO ${table} (${names.join()})
      SELECT ${values} FROM n, (SELECT * FROM ${table} LIMIT 1) AS original`,
    );
  };
  const pid = "abs(random()) % 4000000 + 1";
  db.transaction(() => {
    copy("jobs", {
      key,
      job_id: "'true-' || i",
      pid,
      start_ticks: "abs(random()) % 1000000000",
      created_ms: endMs,
    });
    copy("results", { key, start_ms: endMs, end_ms: endMs });
    db.run(
      `${sequence} INSERT INTO events (key, at_ms, kind, detail) SELECT ${key}, ${endMs}, 'observer_died', '{}' FROM n`,
    );
  })();
  db.query("PRAGMA wal_checkpoint(TRUNCATE)").all();
  db.close();
}

async function measure(ffrtmp: FfrtmpUnderTest, subject: Subject): Promise<void> {
  await Bun.sleep(GAP_MS * (0.5 + Math.random()));
  subject.runMs.push(runTrue(ffrtmp, subject.state));
  await Bun.sleep(GAP_MS);
  const cpuBefore = readCpuSeconds(subject.child.pid);
  const child = Bun.spawn({ cmd: [subject.program, "600"], stdio: ["ignore", "ignore", "ignore"] });
  const execMs = performance.now();
  try {
    while (!isGoverned(child.pid, prefixOf(subject.state))) {
      if (performance.now() - execMs > PATIENCE_MS) throw new Error("a process was not governed");
      Bun.sleepSync(0.2);
    }
    subject.latenciesMs.push(performance.now() - execMs);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  // The end of the job belongs to it.
  await Bun.sleep(GAP_MS);
  subject.cpuMs.push((readCpuSeconds(subject.child.pid) - cpuBefore) * 1000);
}

function runTrue(ffrtmp: FfrtmpUnderTest, state: string): number {
  mkdirSync(state, { recursive: true });
  const from = performance.now();
  const { exitCode } = Bun.spawnSync({
    cmd: [ffrtmp.executable, "run", "--cpu-quota", "100", "--", "true"],
    env: { ...process.env, FFRTMP_STATE: state },
    stdio: ["ignore", "ignore", "ignore"],
  });
  if (exitCode !== 0) throw new Error(`ffrtmp run ended with ${exitCode}`);
  return performance.now() - from;
}

function prefixOf(state: string): string {
  return `ffrtmp-${locateState(state, {}).tag}-`;
}

function isGoverned(pid: number, prefix: string): boolean {
  return readFileSync(`/proc/${pid}/cgroup`, "utf8").split(`/${prefix}`).length > governed.length;
}

const governed = governedHierarchies();
