import { mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { realHost } from "../../src/linux/host.ts";
import { readStat } from "../../src/linux/proc/stat.ts";
import { listPids } from "../../src/linux/proc/table.ts";
import { FFRTMP, isRunning, type Sandbox } from "../support/sandbox.ts";
import type { End, GovernorFacts } from "./facts.ts";
import type { GovernorName, SentSignal } from "./scenario.ts";

interface Life extends GovernorFacts {
  startTicks: number;
  outputPath: string;
  isFrozen: boolean;
}

const host = realHost();
const MAX_OUTPUT_CHARACTERS = 600;

/** Starts the ffrtmp processes of a round, signals them, and records of which processes they have pidfds. */
export class Governors {
  readonly #sandbox: Sandbox;
  readonly #lives: Life[] = [];

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    mkdirSync(sandbox.path("output"), { recursive: true });
  }

  start(name: GovernorName, args: string[], cwd?: string): void {
    const outputPath = this.#sandbox.path(`output/${this.#lives.length} ${name}`);
    const output = openSync(outputPath, "a");
    const child = this.#sandbox.start(args, { stdout: output, stderr: output, ...(cwd ? { cwd } : {}) });
    const life = this.#add(name, child.pid, outputPath);
    if (!life) return;
    // The process that returns at once is not the observer.
    if (args.includes("-d")) this.#lives.splice(this.#lives.indexOf(life), 1);
    void child.exited.then(() => {
      life.exit = endOf(child);
    });
  }

  /** Finds the background copies of `run -d` by their command line. */
  findBackground(jobIds: string[]): void {
    for (const pid of listPids(host)) {
      const words = read(`/proc/${pid}/cmdline`).split("\0");
      const id = words[words.indexOf("--job-id") + 1] ?? "";
      if (words[0] !== FFRTMP || !words.includes("--report-start") || !jobIds.includes(id)) continue;
      if (!read(`/proc/${pid}/environ`).split("\0").includes(`FFRTMP_STATE=${this.#sandbox.state}`)) continue;
      if (this.#living(`wrapper ${id}`).some((life) => life.pid === pid)) continue;
      // Between its fork and its exec, the workload of such a copy shows the command line of the copy.
      const stat = readStat(host, pid);
      if (stat === "gone" || read(`/proc/${stat.ppid}/cmdline`) === words.join("\0")) continue;
      this.#sandbox.adopt(pid);
      this.#add(`wrapper ${id}`, pid, `${this.#sandbox.state}/ffrtmp.log`);
    }
  }

  signal(name: GovernorName, signal: SentSignal): void {
    for (const life of this.#living(name)) this.#send(life, signal);
  }

  thawAll(): void {
    for (const life of this.#lives) if (life.isFrozen) this.#send(life, "SIGCONT");
  }

  /** Records the pidfds of each process. */
  scan(): void {
    for (const life of this.#lives) {
      if (!isRunning(life.pid, life.startTicks)) continue;
      for (const pid of pidfdTargetsOf(life.pid)) {
        if (!life.pidfds.some((known) => known.pid === pid)) life.pidfds.push({ pid, sinceMs: Date.now() });
      }
    }
  }

  isObserved(pid: number): boolean {
    return this.#lives.some(
      (life) => isRunning(life.pid, life.startTicks) && pidfdTargetsOf(life.pid).includes(pid),
    );
  }

  /** Reports whether a process runs that was not sent a deadly signal. */
  isUp(name: GovernorName): boolean {
    return this.#living(name).some(({ signals }) => signals.every(({ signal }) => signal === "SIGSTOP"));
  }

  isGone(name: GovernorName): boolean {
    return this.#living(name).length === 0;
  }

  /** Lists the running processes except the daemon. */
  observers(): string[] {
    const living = this.#lives.filter((life) => isRunning(life.pid, life.startTicks));
    return living.filter(({ name }) => name !== "watch").map(({ name, pid }) => `${name} (PID ${pid})`);
  }

  facts(): GovernorFacts[] {
    return this.#lives.map(({ outputPath, ...life }) => ({
      ...life,
      output: read(outputPath).slice(-MAX_OUTPUT_CHARACTERS),
    }));
  }

  #add(name: GovernorName, pid: number, outputPath: string): Life | undefined {
    const stat = readStat(host, pid);
    if (stat === "gone") return undefined;
    const life: Life = {
      name,
      pid,
      startTicks: stat.startTicks,
      signals: [],
      pidfds: [],
      exit: null,
      output: "",
      outputPath,
      isFrozen: false,
    };
    this.#lives.push(life);
    return life;
  }

  #living(name: GovernorName): Life[] {
    return this.#lives.filter((life) => life.name === name && isRunning(life.pid, life.startTicks));
  }

  #send(life: Life, signal: SentSignal): void {
    if (signal !== "SIGCONT") life.signals.push({ signal, atMs: Date.now() });
    life.isFrozen = signal === "SIGSTOP" || (life.isFrozen && signal !== "SIGCONT");
    if (!isRunning(life.pid, life.startTicks)) return;
    try {
      process.kill(life.pid, signal);
    } catch {
      // The process has ended meanwhile.
    }
  }
}

export function endOf({ exitCode, signalCode }: Bun.Subprocess): End {
  return signalCode === null ? { code: exitCode, signal: null } : { code: null, signal: String(signalCode) };
}

/**
 * Lists the processes of which a process has pidfds. Source: `Pid:` in /proc/PID/fdinfo; −1 once they are
 * gone.
 */
function pidfdTargetsOf(pid: number): number[] {
  let names: string[];
  try {
    names = readdirSync(`/proc/${pid}/fdinfo`);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const target = /^Pid:\t(\d+)$/m.exec(read(`/proc/${pid}/fdinfo/${name}`))?.[1];
    return target === undefined ? [] : [Number(target)];
  });
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
