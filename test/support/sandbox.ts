import { Database } from "bun:sqlite";
import { afterEach, beforeAll, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { locateState } from "../../src/ledger/location.ts";
import { type Hierarchy, readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { hasEnded, readStat } from "../../src/linux/proc/stat.ts";
import { checkAgentDirectory } from "./fleet/agentDirectory.ts";
import { checkJsonContract } from "./jsonContract.ts";

/** The compiled executable, which users run too. `FFRTMP_TEST_EXECUTABLE` names another one. */
export const FFRTMP = resolve(
  import.meta.dir,
  "../..",
  process.env["FFRTMP_TEST_EXECUTABLE"] ?? "dist/ffrtmp",
);

const host = realHost();
const POLL_MS = 10;
/** Ends a test that would wait forever. No test depends on speed, and emulation is slow. */
const TIMEOUT_MS = process.env["FFRTMP_VM"] === undefined ? 60_000 : 180_000;
const LONGEST_TEST_MS = 300_000;

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

export interface SpawnOptions {
  env?: Record<string, string>;
  cwd?: string;
  stdin?: Blob | "ignore" | "pipe" | number;
  /** A file descriptor for each output; by default `run` collects it as text. */
  stdout?: number | "pipe" | "ignore";
  stderr?: number | "pipe" | "ignore";
}

/** A running job, with the `ffrtmp run` that waits for it. */
export interface Job {
  jobId: string;
  wrapper: Bun.Subprocess;
  pid: number;
}

/**
 * The state directory and processes of one test. At its end, every process that was started here or adopted
 * is killed by PID and start time, and no cgroup with the sandbox's tag may be left.
 */
export class Sandbox {
  readonly directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
  readonly state = join(this.directory, "state");
  readonly #processes = new Map<number, number>();
  readonly #states = new Set([this.state]);
  #hasMount = false;

  /** The tag in the names of this sandbox's cgroups, `ffrtmp-TAG-…`, which no other sandbox has. */
  get tag(): string {
    return locateState(this.state, {}).tag;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Gives the state directory a disk of its own, which can be filled. Needs root. */
  mountState(size: string): void {
    mkdirSync(this.state, { mode: 0o700 });
    const { exitCode, stderr } = Bun.spawnSync([
      ...["mount", "-t", "tmpfs", "-o", `size=${size},mode=0700`, "none", this.state],
    ]);
    if (exitCode !== 0) throw new Error(`mount: ${stderr}`);
    this.#hasMount = true;
  }

  get environment(): Record<string, string> {
    return { ...(process.env as Record<string, string>), FFRTMP_STATE: this.state };
  }

  /** Runs ffrtmp to its end. Each JSON output is checked against its description. */
  async run(args: string[], options: SpawnOptions = {}): Promise<Ended> {
    const child = this.start(args, options);
    const [stdout, stderr] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
    checkJsonContract(args, stdout, stderr);
    return { code: await child.exited, stdout, stderr };
  }

  /** Runs ffrtmp with --json and returns what it printed. */
  // biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
  async json(args: string[]): Promise<any> {
    const { stdout } = await this.run([...args, "--json"]);
    return JSON.parse(stdout);
  }

  /** Starts ffrtmp and returns at once. */
  start(args: string[], options: SpawnOptions = {}): Bun.Subprocess {
    return this.spawn([FFRTMP, ...args], options);
  }

  /** Starts any command. Its process is killed at the end of the test. */
  spawn(cmd: string[], { env = {}, ...options }: SpawnOptions = {}): Bun.Subprocess {
    checkAgentDirectory(cmd);
    const child = Bun.spawn({
      cmd,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      ...options,
      env: { ...this.environment, ...env },
    });
    this.adopt(child.pid);
    return child;
  }

  /** Starts `ffrtmp run` and returns when its workload is recorded as running. */
  async startJob(
    jobId: string,
    flags: string[],
    command: string[],
    options: SpawnOptions = {},
  ): Promise<Job> {
    const outputs: SpawnOptions = { stdout: "ignore", stderr: "ignore", ...options };
    const wrapper = this.start(["run", "--job-id", jobId, ...flags, "--", ...command], outputs);
    const pid = await this.pidOf(jobId);
    this.adopt(pid);
    return { jobId, wrapper, pid };
  }

  /** Waits until the workload is recorded as started, and returns its pid. */
  async pidOf(jobId: string): Promise<number> {
    return eventually(`job ${jobId} runs`, async () => {
      const { code, stdout } = await this.run(["inspect", jobId, "--json"]);
      const { pid, state } = code === 0 ? JSON.parse(stdout) : { pid: null, state: "starting" };
      return pid === null || state === "starting" ? undefined : (pid as number);
    });
  }

  /** Waits until the job's result is recorded, and returns it. */
  // biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
  async resultOf(jobId: string): Promise<any> {
    return eventually(`job ${jobId} has a result`, async () => {
      const { result } = await this.json(["inspect", jobId]);
      return result ?? undefined;
    });
  }

  /** Returns the directory of a job's cgroup in the v1 hierarchy of a controller, or in the v2 tree. */
  async cgroupOf(jobId: string, controller: string): Promise<string> {
    const { cgroups } = await this.json(["inspect", jobId]);
    const { mountPoint } = hierarchyOf(controller);
    const path = (cgroups as string[]).find((candidate) => candidate.startsWith(`${mountPoint}/`));
    if (path === undefined) throw new Error(`job ${jobId} has no cgroup below ${mountPoint}`);
    return path;
  }

  /** Changes the ledger without ffrtmp. */
  sql(statement: string, ...values: (string | number | null)[]): void {
    const db = new Database(locateState(this.state, {}).ledger);
    try {
      // A daemon may write at the same time.
      db.run("PRAGMA busy_timeout = 5000");
      db.run(statement, values);
    } finally {
      db.close();
    }
  }

  /**
   * Copies a program under a name that is unique on this machine, so that `watch` finds nothing else. A link
   * would not do: a process also has the name of its executable, and another daemon would take a link to
   * ffmpeg for ffmpeg.
   */
  program(command: string): { name: string; path: string } {
    const name = `${command.slice(0, 6)}-${this.tag}`;
    const path = this.path(name);
    const original = Bun.which(command);
    if (original === null) throw new Error(`no ${command} in PATH`);
    if (!existsSync(path)) copyFileSync(original, path);
    return { name, path };
  }

  /** Adds a process that is killed at the end of the test. */
  adopt(pid: number): void {
    const stat = readStat(host, pid);
    if (stat !== "gone") this.#processes.set(pid, stat.startTicks);
  }

  /** Adds another state directory, whose jobs end with the sandbox too. */
  adoptState(state: string): void {
    this.#states.add(state);
  }

  /** Lists the cgroup directories of this sandbox's jobs. */
  cgroups(): string[] {
    return [...this.#states].flatMap(cgroupsOf);
  }

  /**
   * Kills the processes that are left and removes the sandbox. Throws when one of its cgroups cannot be
   * removed.
   */
  async close(): Promise<void> {
    const members = this.cgroups().flatMap((path) => readLines(`${path}/cgroup.procs`).map(Number));
    for (const pid of members) this.adopt(pid);
    for (const [pid, startTicks] of this.#processes) endProcess(pid, startTicks);
    await until("all processes of the test have ended", () =>
      [...this.#processes].every(([pid, startTicks]) => !isRunning(pid, startTicks)),
    );
    // Only the ledger knows which controllers were enabled for a job.
    for (const state of this.#states)
      if (cgroupsOf(state).length > 0 && existsSync(state)) await this.run(["ps", "--state-path", state]);
    for (const path of this.cgroups().reverse())
      await until(`${path} can be removed`, () => removeGroup(path));
    if (this.#hasMount) Bun.spawnSync(["umount", "--lazy", this.state]);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function cgroupsOf(state: string): string[] {
  const { tag } = locateState(state, {});
  return readHierarchies(host).flatMap(({ mountPoint }) => findDirectories(mountPoint, `ffrtmp-${tag}-`));
}

/** Returns a new sandbox for each test of the file. */
export function useSandbox(): () => Sandbox {
  let sandbox: Sandbox | undefined;
  setDefaultTimeout(LONGEST_TEST_MS);
  beforeAll(() => {
    if (!existsSync(FFRTMP))
      throw new Error(`${FFRTMP} is not built: run node_modules/.bin/bun scripts/build.ts`);
  });
  afterEach(async () => {
    await sandbox?.close();
    sandbox = undefined;
  });
  return () => {
    sandbox ??= new Sandbox();
    return sandbox;
  };
}

/** Returns `test`, or a skip that prints the reason when this machine lacks something. */
export function testIf(reason: string | undefined): typeof test {
  if (reason === undefined) return test;
  console.log(`not tried: ${reason}`);
  return test.skip as unknown as typeof test;
}

/** Returns the reason why limits cannot be tested here, or `undefined`. */
export function lacksLimits(): string | undefined {
  if (process.geteuid?.() !== 0) return "needs root to make cgroups";
  const controllers = readHierarchies(host).flatMap((hierarchy) => hierarchy.controllers);
  const missing = ["cpu", "memory", "pids"].filter((name) => !controllers.includes(name));
  return missing.length === 0 ? undefined : `needs the cgroup controllers ${missing.join(", ")}`;
}

export function lacksRoot(): string | undefined {
  return process.geteuid?.() === 0 ? undefined : "needs root";
}

export function lacksCommand(name: string): string | undefined {
  return Bun.which(name) === null ? `needs ${name}` : undefined;
}

/** Returns the messages of `ps` without those about jobs of other state directories, which may run on this machine too. */
export function withoutForeignJobs(stderr: string): string {
  return stderr.replace(/^ffrtmp: \d+ jobs? runs? under another state directory.*\n( {2}try: .*\n)?/gm, "");
}

/** Returns the mounted hierarchy that has a controller. */
export function hierarchyOf(controller: string): Hierarchy {
  const hierarchy = readHierarchies(host).find(({ controllers }) => controllers.includes(controller));
  if (!hierarchy) throw new Error(`no hierarchy with ${controller} is mounted`);
  return hierarchy;
}

/** Waits until a condition is true. Fails with its description after the timeout. */
export async function until(
  description: string,
  isTrue: () => boolean | Promise<boolean>,
  patienceMs = TIMEOUT_MS,
): Promise<void> {
  const start = performance.now();
  while (!(await isTrue())) {
    if (performance.now() - start > patienceMs) throw new Error(`timed out waiting until ${description}`);
    await Bun.sleep(POLL_MS);
  }
}

/** Waits until `read` returns a value, and returns it. Fails with the description after the timeout. */
export async function eventually<T>(
  description: string,
  read: () => T | undefined | Promise<T | undefined>,
  patienceMs = TIMEOUT_MS,
): Promise<T> {
  let value: T | undefined;
  const isThere = async (): Promise<boolean> => {
    value = await read();
    return value !== undefined;
  };
  await until(description, isThere, patienceMs);
  return value as T;
}

/** Reports whether a process runs. A zombie does not. */
export function isRunning(pid: number, startTicks?: number): boolean {
  const stat = readStat(host, pid);
  if (stat === "gone" || hasEnded(stat)) return false;
  return startTicks === undefined || stat.startTicks === startTicks;
}

/** Reports whether SIGSTOP has reached every thread of a process, a moment after it was sent. */
export function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((tid) => / T /.test(readProc(pid, `task/${tid}/stat`)));
}

export function readProc(pid: number, file: string): string {
  return readFileSync(`/proc/${pid}/${file}`, "utf8");
}

function endProcess(pid: number, startTicks: number): void {
  if (!isRunning(pid, startTicks)) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // The process has ended meanwhile.
  }
}

function removeGroup(path: string): boolean {
  try {
    rmdirSync(path);
  } catch {
    // The cgroup is still in use, and the caller tries again.
  }
  return !existsSync(path);
}

/** Lists all directories below `parent` whose names begin with `prefix`. */
export function findDirectories(parent: string, prefix: string): string[] {
  let names: string[];
  try {
    names = readdirSync(parent, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const path = join(parent, name);
    return [...(name.startsWith(prefix) ? [path] : []), ...findDirectories(path, prefix)];
  });
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}

async function textOf(stream: Bun.Subprocess["stdout"]): Promise<string> {
  return stream instanceof ReadableStream ? new Response(stream).text() : "";
}
