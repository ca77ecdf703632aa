import type { Host } from "../../linux/host.ts";
import type { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { visible } from "../../linux/proc/table.ts";
import { type Pace, paceOf, paceOfAll } from "./pace.ts";

/** Command lines are read again after this time: a process can execute another program. */
const INTERVAL_MS = 10_000;
/** The processes of a job whose command lines are read. */
const MAX_PROCESSES = 32;

/** A job to read, by any key that stays the same. */
interface PaceSubject {
  readonly key: string;
  readonly pids: readonly number[];
}

/** Reads from the command lines of jobs whether they are live. */
export class PaceReader {
  readonly #host: Host;
  readonly #slow: SlowReader;
  readonly #known = new Map<string, { pace: Pace; atBootMs: number }>();

  /** `slow`: a process can delay the reading of its command line. */
  constructor(host: Host, slow: SlowReader) {
    this.#host = host;
    this.#slow = slow;
  }

  /** Reads these jobs. A job whose command lines could not be read yet is missing in the answer. */
  async read(jobs: readonly PaceSubject[]): Promise<Map<string, Pace>> {
    await Promise.all(jobs.map((job) => this.#readJob(job)));
    return new Map(
      jobs.flatMap(({ key }) => {
        const known = this.#known.get(key);
        return known === undefined ? [] : [[key, known.pace] as const];
      }),
    );
  }

  forget(keys: Iterable<string>): void {
    for (const key of keys) this.#known.delete(key);
  }

  forgetExcept(keys: ReadonlySet<string>): void {
    this.forget([...this.#known.keys()].filter((key) => !keys.has(key)));
  }

  async #readJob({ key, pids }: PaceSubject): Promise<void> {
    const atBootMs = this.#host.bootNow();
    const before = this.#known.get(key);
    if (before !== undefined && atBootMs - before.atBootMs < INTERVAL_MS) return;
    const lines = await Promise.all(pids.slice(0, MAX_PROCESSES).map((pid) => this.#wordsOf(pid)));
    const known = lines.filter((words) => words !== "late" && words !== undefined);
    // A process that delays this, or hides it, does not change what is known.
    if (lines.includes("late") || known.length === 0) return;
    this.#known.set(key, { pace: paceOfAll(known.flatMap((words) => paceOf(words) ?? [])), atBootMs });
  }

  async #wordsOf(pid: number): Promise<readonly string[] | "late" | undefined> {
    const stat = visible(() => readStat(this.#host, pid));
    if (stat === undefined) return undefined;
    const answer = await this.#slow.read({ kind: "arguments", pid, startTicks: stat.startTicks });
    return answer === "late" ? "late" : answer?.line.words;
  }
}
