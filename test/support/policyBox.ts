import { copyFileSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { eventually, hierarchyOf, isRunning, readProc, type Sandbox, until } from "./sandbox.ts";

/** A user that exists during a test. */
export class TestUser {
  readonly name: string;
  readonly uid: number;

  constructor(letter: string) {
    this.name = `ffrtmp-${letter}-${process.pid}`;
    runOrThrow([
      "useradd",
      "--system",
      "--no-create-home",
      "--no-user-group",
      "--shell",
      "/bin/false",
      this.name,
    ]);
    this.uid = Number(runOrThrow(["id", "-u", this.name]));
  }

  [Symbol.dispose](): void {
    runOrThrow(["userdel", "--force", this.name]);
  }
}

export interface StartOptions {
  uid?: number | undefined;
  cwd?: string;
  /** The command that starts the workload, and then waits for it. */
  parent?: string;
}

/** A daemon with a policy file, and workloads. */
export class PolicyBox {
  readonly sandbox: Sandbox;
  readonly file: string;
  readonly #log: string;

  constructor(sandbox: Sandbox) {
    this.sandbox = sandbox;
    this.file = sandbox.path("policy.yaml");
    this.#log = sandbox.path("watch.log");
    // Other users run programs from this directory.
    runOrThrow(["chmod", "755", sandbox.directory]);
  }

  log(): string {
    return readFileSync(this.#log, "utf8");
  }

  /** Replaces the policy file atomically. */
  write(policy: string): void {
    writeFileSync(`${this.file}.new`, policy);
    renameSync(`${this.file}.new`, this.file);
  }

  async start(...flags: string[]): Promise<Bun.Subprocess> {
    const stderr = openSync(this.#log, "a");
    const daemon = this.sandbox.start(["watch", "--watch-config", this.file, ...flags], { stderr });
    await until("the daemon watches", () => this.log().includes("Watching for"));
    return daemon;
  }

  /** Copies a shell under a name that is unique on this machine, and returns its path. */
  shell(word: string): string {
    const path = this.sandbox.path(`${word}-${this.sandbox.tag}`);
    copyFileSync("/bin/sh", path);
    return path;
  }

  /** Runs a shell script, by default an endless one. Returns the PID of the shell. */
  async run(shell: string, { uid, cwd, parent }: StartOptions = {}, script = FOR_EVER): Promise<number> {
    const pidFile = this.sandbox.path(`pid-${Bun.randomUUIDv7()}`);
    writeFileSync(pidFile, "", { mode: 0o666 });
    runOrThrow(["chmod", "666", pidFile]);
    const inner = [shell, "-c", `echo $$ >${pidFile}; ${script}`];
    const command = [
      ...(uid === undefined ? [] : ["setpriv", `--reuid=${uid}`, "--clear-groups"]),
      ...(parent === undefined ? inner : [parent, "-c", `"$@"; :`, parent, ...inner]),
    ];
    this.sandbox.spawn(command, {
      stdout: "ignore",
      stderr: "ignore",
      ...(cwd === undefined ? {} : { cwd }),
    });
    const pid = await eventually(
      `${basename(shell)} runs`,
      () => Number(readFileSync(pidFile, "utf8")) || undefined,
    );
    this.sandbox.adopt(pid);
    return pid;
  }

  /** Returns the record of the job that governs a process. */
  // biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
  async jobOf(pid: number): Promise<any> {
    const jobs: { pid: number; job_id: string }[] = await this.sandbox.json(["ps"]);
    const job = jobs.find((each) => each.pid === pid);
    if (!job) throw new Error(`no job governs PID ${pid}`);
    return this.sandbox.json(["inspect", job.job_id]);
  }

  async governed(pid: number): Promise<void> {
    await until(`PID ${pid} is governed`, () => isGoverned(pid));
    // On v1 the process may be in the job's cgroup of one hierarchy before another.
    await until(`PID ${pid} is recorded as running`, async () => {
      const jobs: { pid: number; state: string }[] = await this.sandbox.json(["ps"]);
      return jobs.some((job) => job.pid === pid && job.state === "running");
    });
  }
}

const FOR_EVER = "while :; do sleep 600; done";

export function isGoverned(pid: number): boolean {
  return isRunning(pid) && readProc(pid, "cgroup").includes("/ffrtmp-");
}

/** Returns the cgroup directory of a process in the hierarchy of a controller. */
export function groupOf(pid: number, controller: string): string {
  const { mountPoint, key, mountRoot } = hierarchyOf(controller);
  const line = readProc(pid, "cgroup")
    .split("\n")
    .find((each) => each.split(":")[1] === key);
  const path = line?.slice(line.indexOf("/")) ?? "";
  return `${mountPoint}${mountRoot === "/" ? path : path.slice(mountRoot.length)}`;
}

/** Reads a file of the job's cgroup, or of its tenant's cgroup above it. */
export function readLimitFile(
  pid: number,
  controller: string,
  file: string,
  whose: "job" | "tenant" = "job",
): string {
  const group = groupOf(pid, controller);
  return readFileSync(`${whose === "job" ? group : dirname(group)}/${file}`, "utf8").trim();
}

export function tenantGroupOf(pid: number): string {
  return dirname(groupOf(pid, "pids"));
}

function runOrThrow(command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}
