import { mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { realHost } from "../../src/linux/host.ts";
import { readStat } from "../../src/linux/proc/stat.ts";
import { listPids } from "../../src/linux/proc/table.ts";
import { FFRTMP, isRunning, type Sandbox } from "../support/sandbox.ts";
import type { End, GovernorFacts } from "./facts.ts";
import type { GovernorName, StrikeSignal } from "./scenario.ts";

interface Life extends GovernorFacts {
  startTicks: number;
  saidIn: string;
  isFrozen: boolean;
}

const host = realHost();
const SAID_CHARACTERS = 600;

/** The ffrtmps of one round: starts them, ends them at any time, and sees which processes they hold. */
export class Governors {
  readonly #sandbox: Sandbox;
  readonly #lives: Life[] = [];

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    mkdirSync(sandbox.path("said"), { recursive: true });
  }

  start(name: GovernorName, args: string[], cwd?: string): void {
    const saidIn = this.#sandbox.path(`said/${this.#lives.length} ${name}`);
    const said = openSync(saidIn, "a");
    const child = this.#sandbox.start(args, { stdout: said, stderr: said, ...(cwd ? { cwd } : {}) });
    const life = this.#note(name, child.pid, saidIn);
    if (!life) return;
    // The one that returns at once is not the one that observes.
    if (args.includes("-d")) this.#lives.splice(this.#lives.indexOf(life), 1);
    void child.exited.then(() => {
      life.exit = endOf(child);
    });
  }

  /** The copies that `run -d` leaves in the background, known by their command line. */
  findBackground(jobIds: string[]): void {
    for (const pid of listPids(host)) {
      const words = read(`/proc/${pid}/cmdline`).split("\0");
      const id = words[words.indexOf("--job-id") + 1] ?? "";
      if (words[0] !== FFRTMP || !words.includes("--report-start") || !jobIds.includes(id)) continue;
      if (!read(`/proc/${pid}/environ`).split("\0").includes(`FFRTMP_STATE=${this.#sandbox.state}`)) continue;
      if (this.#living(`wrapper ${id}`).some((life) => life.pid === pid)) continue;
      this.#sandbox.adopt(pid);
      this.#note(`wrapper ${id}`, pid, `${this.#sandbox.state}/ffrtmp.log`);
    }
  }

  strike(name: GovernorName, signal: StrikeSignal): void {
    for (const life of this.#living(name)) this.#send(life, signal);
  }

  thawAll(): void {
    for (const life of this.#lives) if (life.isFrozen) this.#send(life, "SIGCONT");
  }

  /** Notes who holds which process now. */
  look(): void {
    for (const life of this.#lives) {
      if (!isRunning(life.pid, life.startTicks)) continue;
      for (const pid of heldBy(life.pid)) {
        if (!life.held.some((hold) => hold.pid === pid)) life.held.push({ pid, sinceMs: Date.now() });
      }
    }
  }

  isHeld(pid: number): boolean {
    return this.#lives.some((life) => isRunning(life.pid, life.startTicks) && heldBy(life.pid).includes(pid));
  }

  /** Whether one is there that was sent nothing that ends it. */
  isUp(name: GovernorName): boolean {
    return this.#living(name).some(({ strikes }) => strikes.every(({ signal }) => signal === "SIGSTOP"));
  }

  isGone(name: GovernorName): boolean {
    return this.#living(name).length === 0;
  }

  /** Those that are still there, but for the daemon. */
  observers(): string[] {
    const living = this.#lives.filter((life) => isRunning(life.pid, life.startTicks));
    return living.filter(({ name }) => name !== "watch").map(({ name, pid }) => `${name} (PID ${pid})`);
  }

  facts(): GovernorFacts[] {
    return this.#lives.map(({ saidIn, ...life }) => ({
      ...life,
      said: read(saidIn).slice(-SAID_CHARACTERS),
    }));
  }

  #note(name: GovernorName, pid: number, saidIn: string): Life | undefined {
    const stat = readStat(host, pid);
    if (stat === "gone") return undefined;
    const life: Life = {
      name,
      pid,
      startTicks: stat.startTicks,
      strikes: [],
      held: [],
      exit: null,
      said: "",
      saidIn,
      isFrozen: false,
    };
    this.#lives.push(life);
    return life;
  }

  #living(name: GovernorName): Life[] {
    return this.#lives.filter((life) => life.name === name && isRunning(life.pid, life.startTicks));
  }

  #send(life: Life, signal: StrikeSignal): void {
    if (signal !== "SIGCONT") life.strikes.push({ signal, atMs: Date.now() });
    life.isFrozen = signal === "SIGSTOP" || (life.isFrozen && signal !== "SIGCONT");
    if (!isRunning(life.pid, life.startTicks)) return;
    try {
      process.kill(life.pid, signal);
    } catch {
      // It ended in between.
    }
  }
}

export function endOf({ exitCode, signalCode }: Bun.Subprocess): End {
  return signalCode === null ? { code: exitCode, signal: null } : { code: null, signal: String(signalCode) };
}

/** Source: the line `Pid:` in /proc/PID/fdinfo of a pidfd; −1 once the process is gone. */
function heldBy(pid: number): number[] {
  let names: string[];
  try {
    names = readdirSync(`/proc/${pid}/fdinfo`);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const held = /^Pid:\t(\d+)$/m.exec(read(`/proc/${pid}/fdinfo/${name}`))?.[1];
    return held === undefined ? [] : [Number(held)];
  });
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
