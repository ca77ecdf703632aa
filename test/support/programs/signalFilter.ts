/**
 * Installs the signal filter and prints one JSON object: the results of each forbidden call before and after
 * it, in the first thread and in others; what happened to a real bystander process; and whether ordinary work
 * continues.
 */
import { Database } from "bun:sqlite";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { syscall } from "../../../src/sys/libc.ts";
import { installSignalFilter, tryForbiddenCalls } from "../../../src/sys/seccomp.ts";

const SIGKILL = 9;
/** Ignored by default, so that the group is safe if the filter does not work. */
const SIGURG = 23;
const THREADS = 3;
const RLIMIT_CPU = 0;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const F_SETFL = 4;
const F_SETOWN = 8;
const O_ASYNC = 0o20000;

function startThread(): Worker {
  return new Worker(new URL(import.meta.url));
}

/** Creates garbage and collects it: the runtime suspends its threads with signals for that. */
function churn(): number {
  let count = 0;
  for (let round = 0; round < 20; round++) {
    count += Array.from({ length: 20_000 }, (_, index) => ({ index, text: `${round}-${index}` })).length;
    Bun.gc(true);
  }
  return count;
}

function request(thread: Worker, name: string): Promise<unknown> {
  const response = new Promise((resolve) => thread.once("message", resolve));
  thread.postMessage(name);
  return response;
}

async function runFirstThread() {
  const bystander = Bun.spawn(["sleep", "60"], { stdio: ["ignore", "ignore", "ignore"] });
  const earlier = Array.from({ length: THREADS }, startThread);
  await Promise.all(earlier.map((thread) => request(thread, "calls")));
  const before = tryForbiddenCalls();
  const attacksBefore = await attack();
  const installed = installSignalFilter();
  const later = startThread();
  const report = {
    pid: process.pid,
    bystander: bystander.pid,
    before,
    attacksBefore,
    installed,
    after: tryForbiddenCalls(),
    inEarlierThread: await request(earlier[0] ?? later, "calls"),
    inLaterThread: await request(later, "calls"),
    killBystander: syscall("kill", bystander.pid, SIGKILL),
    signalOwnGroup: syscall("kill", 0, SIGURG),
    attacksAfter: await attack(bystander),
    killByRuntime: tryToKill(() => process.kill(bystander.pid, "SIGKILL")),
    killBySubprocess: tryToKill(() => bystander.kill("SIGKILL")),
    bystanderExists: syscall("kill", bystander.pid, 0),
    stopOwnThread: syscall("tgkill", process.pid, syscall("gettid"), 0),
    churned: await Promise.all([...earlier, later].map((thread) => request(thread, "churn"))),
    churnedHere: churn(),
    work: await workOn(),
    childUnderFilter: runChild(),
    installedAgain: installSignalFilter(),
  };
  process.stdout.write(JSON.stringify(report));
  // The reader of the report kills the bystander: this process can no longer do so.
  process.exit(0);
}

/**
 * Tries to end processes without a call that sends signals. Without a `victim` each attack has its own, and
 * waits for its end; a given victim survives if the attacks fail.
 */
async function attack(victim?: Bun.Subprocess) {
  const start = () =>
    victim ??
    Bun.spawn(["sh", "-c", "i=0; while [ $i -lt 50000000 ]; do i=$((i + 1)); done"], {
      stdio: ["ignore", "ignore", "ignore"],
    });
  const ended: (string | number | null)[] = [];
  const end = async (child: Bun.Subprocess, result: number) => {
    if (result < 0 && victim !== undefined) return;
    await child.exited;
    ended.push(child.signalCode);
  };

  const first = start();
  const byDescriptor = signalByDescriptor(first.pid);
  await end(first, byDescriptor);

  const second = start();
  // struct rlimit64 { u64 rlim_cur; u64 rlim_max; }, in seconds: at the hard limit the kernel sends SIGKILL.
  const limits = new BigUint64Array([0n, 0n]);
  const byTimeLimit = syscall("prlimit64", second.pid, RLIMIT_CPU, limits, 0);
  await end(second, byTimeLimit);
  return { byDescriptor, byTimeLimit, ended };
}

/** Makes the kernel send SIGIO to a process, by default its end, when a socket becomes readable. */
function signalByDescriptor(pid: number): number {
  const reader = syscall("socket", AF_UNIX, SOCK_DGRAM, 0);
  const writer = syscall("socket", AF_UNIX, SOCK_DGRAM, 0);
  // An abstract address: struct sockaddr_un { u16 family; char path[108]; }
  const name = new TextEncoder().encode(`ffrtmp-test-${process.pid}-${pid}`);
  const address = new Uint8Array([AF_UNIX, 0, 0, ...name]);
  syscall("bind", reader, address, address.byteLength);
  const owned = syscall("fcntl", reader, F_SETOWN, pid);
  syscall("fcntl", reader, F_SETFL, O_ASYNC);
  syscall("sendto", writer, new Uint8Array([1]), 1, 0, address, address.byteLength);
  for (const fd of [reader, writer]) syscall("close", fd);
  return owned;
}

function tryToKill(kill: () => unknown): string {
  try {
    kill();
    return "no error";
  } catch (error) {
    return String(error);
  }
}

/** Runs the programs that keep a scope, as an observer does after the filter is installed. */
function runChild(): string {
  const script = 'read -r name < /proc/self/comm; sleep 0.01; echo "$name" | cat';
  const { stdout } = Bun.spawnSync(["sh", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
  return stdout.toString();
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
  parentPort?.on("message", (name) => {
    parentPort?.postMessage(name === "calls" ? tryForbiddenCalls() : churn());
  });
}
