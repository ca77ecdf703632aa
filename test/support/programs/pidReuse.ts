/**
 * Runs as process 1 of a pid namespace, where it chooses the next pid (`unshare --pid --fork --mount-proc`).
 * Lets pids be reused while ffrtmp governs them, and prints what it observed as JSON. Arguments: the ffrtmp
 * to test, a directory for its files. The state directory comes from the environment.
 */
import { Database } from "bun:sqlite";
import { existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { realHost } from "../../../src/linux/host.ts";
import { readStat } from "../../../src/linux/proc/stat.ts";

const [ffrtmp = "", directory = ""] = process.argv.slice(2);
const TARGET = "reused-one";
const host = realHost();

export interface Seen {
  pid: number;
  oldTicks: number;
  newTicks: number;
  /** Whether the process that reuses the pid is still running at the end. */
  isAlive: boolean;
  cgroups: string;
  nice: number;
}

export interface Row {
  job_id: string;
  pid: number | null;
  start_ticks: number | null;
  state: string;
  exit_code: number | null;
  signal: string | null;
  exit_unknown_because: string | null;
}

export interface ReuseReport {
  stale: Seen;
  jobsBeforeNewTarget: Row[];
  newTarget: Seen;
  swapped: Seen[];
  jobs: Row[];
  daemonsAlive: boolean[];
  output: string;
}

/** Starts a process under a chosen pid. Returns `null` when another process got the pid first. */
function trySpawnWithPid(pid: number, name: string, script: string): Bun.Subprocess | null {
  const cmd = ["perl", "-e", "exec { 'perl' } $ARGV[0], '-e', $ARGV[1]", name, `$0 = '${name}'; ${script}`];
  writeFileSync("/proc/sys/kernel/ns_last_pid", String(pid - 1));
  const child = Bun.spawn({ cmd, stdio: ["ignore", "ignore", "ignore"] });
  if (child.pid === pid) return child;
  child.kill("SIGKILL");
  return null;
}

async function spawnWithPid(
  pid: number,
  name: string,
  script: string,
): Promise<{ child: Bun.Subprocess; ticks: number }> {
  for (;;) {
    const child = trySpawnWithPid(pid, name, script);
    if (child) return { child, ticks: ticksOf(pid) };
    await Bun.sleep(1);
  }
}

function ticksOf(pid: number): number {
  const stat = readStat(host, pid);
  return stat === "gone" ? 0 : stat.startTicks;
}

/** Starts another process under the pid of an ended one, never within the same clock tick. */
async function replace(pid: number, oldTicks: number, name: string): Promise<Seen> {
  for (;;) {
    const { child, ticks } = await spawnWithPid(pid, name, "sleep 1 while 1");
    if (ticks !== oldTicks) return { pid, oldTicks, newTicks: ticks, isAlive: true, cgroups: "", nice: 0 };
    child.kill("SIGKILL");
    await child.exited;
  }
}

function observe(seen: Seen): Seen {
  const stat = readStat(host, seen.pid);
  const isAlive = stat !== "gone" && stat.startTicks === seen.newTicks;
  if (!isAlive) return { ...seen, isAlive };
  return { ...seen, isAlive, cgroups: readFileSync(`/proc/${seen.pid}/cgroup`, "utf8"), nice: stat.nice };
}

const outputPath = `${directory}/output`;
function start(...args: string[]): Bun.Subprocess {
  const fd = openSync(outputPath, "a");
  return Bun.spawn({ cmd: [ffrtmp, ...args], stdio: ["ignore", fd, fd] });
}

const watch = (): Bun.Subprocess =>
  start("watch", "--target", TARGET, "--scan-interval", "100ms", "--cpu-weight", "50");

function rows(): Row[] {
  if (!existsSync(`${process.env["FFRTMP_STATE"]}/ledger.db`)) return [];
  const db = new Database(`${process.env["FFRTMP_STATE"]}/ledger.db`);
  db.run("PRAGMA busy_timeout = 5000");
  const all = db.query<Row, []>("SELECT * FROM jobs LEFT JOIN results USING (key) ORDER BY key").all();
  db.close();
  return all;
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const startMs = performance.now();
  while (!isTrue()) {
    if (performance.now() - startMs > 30_000)
      throw new Error(`timed out waiting until ${what}\n${readFileSync(outputPath, "utf8")}`);
    await Bun.sleep(10);
  }
}

async function end(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGKILL");
  await child.exited;
}

// Creates the ledger.
await start("ps").exited;

// A governed process ends without an observer, and its pid goes to a process that is not to be governed.
const PID = 4026;
const first = await spawnWithPid(PID, "victim", "sleep 1 while 1");
const observer = start(
  "attach",
  "--pid",
  String(PID),
  "--job-id",
  "stale",
  "--cpu-weight",
  "50",
  "--nice",
  "5",
);
await until("it is governed", () =>
  rows().some(({ job_id, state }) => job_id === "stale" && state === "running"),
);
await end(observer);
await end(first.child);
const stale = await replace(PID, first.ticks, "bystander");
await start("detach", "stale").exited;
await start("ps").exited;
const daemon = watch();
await until("the stale job has ended", () => rows().every(({ state }) => state === "ended"));
const jobsBeforeNewTarget = rows();

// A governed target ends while no daemon runs, and its pid goes to another target.
const OTHER = 5026;
const second = await spawnWithPid(OTHER, TARGET, "sleep 1 while 1");
await until("the target is governed", () =>
  rows().some(({ pid, state }) => pid === OTHER && state === "running"),
);
await end(daemon);
await end(second.child);
const newTarget = await replace(OTHER, second.ticks, TARGET);
const lasting = watch();
await until("both have a job of their own", () => rows().filter(({ pid }) => pid === OTHER).length === 2);

// Targets end at various moments of their discovery, and each pid goes at once to a bystander.
const swapped: Seen[] = [];
for (let round = 0; round < 25; round++) {
  const pid = 6000 + round * 20;
  const target = await spawnWithPid(pid, TARGET, "sleep 1 while 1");
  await Bun.sleep((round * 37) % 150);
  await end(target.child);
  swapped.push(await replace(pid, target.ticks, "bystander"));
}
// The last target is governed only after everything before it was handled.
const last = await spawnWithPid(9000, TARGET, "sleep 1 while 1");
await until("the last target is governed", () =>
  rows().some(({ pid, state }) => pid === 9000 && state === "running"),
);
await end(last.child);
await until("its end is recorded", () =>
  rows().every(({ pid, state }) => state === "ended" || pid === OTHER),
);

const report: ReuseReport = {
  stale: observe(stale),
  jobsBeforeNewTarget,
  newTarget: observe(newTarget),
  swapped: swapped.map(observe),
  jobs: rows(),
  daemonsAlive: [lasting.exitCode === null],
  output: readFileSync(outputPath, "utf8"),
};
console.log(JSON.stringify(report));
process.exit(0);
