/**
 * Runs as process 1 of a pid namespace, where it decides which pid comes next (`unshare --pid --fork --mount-proc`).
 * Plays what happens to governors when pids are given out again, and prints what was seen as JSON.
 * Arguments: the ffrtmp to be tried, a directory for its files. The state directory is in the environment.
 */
import { Database } from "bun:sqlite";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { realHost } from "../../../src/linux/host.ts";
import { readStat } from "../../../src/linux/proc/stat.ts";

const [ffrtmp = "", directory = ""] = process.argv.slice(2);
const TARGET = "reused-one";
const host = realHost();

export interface Seen {
  pid: number;
  oldTicks: number;
  newTicks: number;
  /** Of the newcomer, at the end. */
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
  said: string;
}

/** A process under a pid of our choice; `null` when another took it first. */
function spawnAs(pid: number, name: string, script: string): Bun.Subprocess | null {
  const cmd = ["perl", "-e", "exec { 'perl' } $ARGV[0], '-e', $ARGV[1]", name, `$0 = '${name}'; ${script}`];
  writeFileSync("/proc/sys/kernel/ns_last_pid", String(pid - 1));
  const child = Bun.spawn({ cmd, stdio: ["ignore", "ignore", "ignore"] });
  if (child.pid === pid) return child;
  child.kill("SIGKILL");
  return null;
}

async function insistOn(
  pid: number,
  name: string,
  script: string,
): Promise<{ child: Bun.Subprocess; ticks: number }> {
  for (;;) {
    const child = spawnAs(pid, name, script);
    if (child) return { child, ticks: ticksOf(pid) };
    await Bun.sleep(1);
  }
}

function ticksOf(pid: number): number {
  const stat = readStat(host, pid);
  return stat === "gone" ? 0 : stat.startTicks;
}

/** Puts another process under the pid of one that has ended; never within the same clock tick. */
async function replace(pid: number, oldTicks: number, name: string): Promise<Seen> {
  for (;;) {
    const { child, ticks } = await insistOn(pid, name, "sleep 1 while 1");
    if (ticks !== oldTicks) return { pid, oldTicks, newTicks: ticks, isAlive: true, cgroups: "", nice: 0 };
    child.kill("SIGKILL");
    await child.exited;
  }
}

function lookAgain(seen: Seen): Seen {
  const stat = readStat(host, seen.pid);
  const isAlive = stat !== "gone" && stat.startTicks === seen.newTicks;
  if (!isAlive) return { ...seen, isAlive };
  return { ...seen, isAlive, cgroups: readFileSync(`/proc/${seen.pid}/cgroup`, "utf8"), nice: stat.nice };
}

const said = `${directory}/said`;
function start(...args: string[]): Bun.Subprocess {
  const fd = openSync(said, "a");
  return Bun.spawn({ cmd: [ffrtmp, ...args], stdio: ["ignore", fd, fd] });
}

const watch = (): Bun.Subprocess =>
  start("watch", "--target", TARGET, "--scan-interval", "100ms", "--cpu-weight", "50");

function rows(): Row[] {
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
      throw new Error(`waited in vain: ${what}\n${readFileSync(said, "utf8")}`);
    await Bun.sleep(10);
  }
}

async function end(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGKILL");
  await child.exited;
}

// Makes the ledger.
await start("ps").exited;

// A governed process ends while nobody looks, and its pid goes to a process that nobody asked to govern.
const PID = 4026;
const first = await insistOn(PID, "victim", "sleep 1 while 1");
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
await until("the stale job is closed", () => rows().every(({ state }) => state === "ended"));
const jobsBeforeNewTarget = rows();

// A governed target ends while the daemon is dead, and its pid goes to another target.
const OTHER = 5026;
const second = await insistOn(OTHER, TARGET, "sleep 1 while 1");
await until("the target is governed", () =>
  rows().some(({ pid, state }) => pid === OTHER && state === "running"),
);
await end(daemon);
await end(second.child);
const newTarget = await replace(OTHER, second.ticks, TARGET);
const lasting = watch();
await until("both have a job of their own", () => rows().filter(({ pid }) => pid === OTHER).length === 2);

// Targets that end at any moment of being discovered, each pid going at once to a bystander.
const swapped: Seen[] = [];
for (let round = 0; round < 25; round++) {
  const pid = 6000 + round * 20;
  const target = await insistOn(pid, TARGET, "sleep 1 while 1");
  await Bun.sleep((round * 37) % 150);
  await end(target.child);
  swapped.push(await replace(pid, target.ticks, "bystander"));
}
// A target that comes last is governed only after everything before it was looked at.
const last = await insistOn(9000, TARGET, "sleep 1 while 1");
await until("the last target is governed", () =>
  rows().some(({ pid, state }) => pid === 9000 && state === "running"),
);
await end(last.child);
await until("its end is on record", () =>
  rows().every(({ pid, state }) => state === "ended" || pid === OTHER),
);

const report: ReuseReport = {
  stale: lookAgain(stale),
  jobsBeforeNewTarget,
  newTarget: lookAgain(newTarget),
  swapped: swapped.map(lookAgain),
  jobs: rows(),
  daemonsAlive: [lasting.exitCode === null],
  said: readFileSync(said, "utf8"),
};
console.log(JSON.stringify(report));
process.exit(0);
