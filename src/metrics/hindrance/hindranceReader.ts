import type { Host } from "../../linux/host.ts";
import type { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { visible } from "../../linux/proc/table.ts";
import type { DeviceReading } from "../../sys/nvml.ts";
import { readMachine } from "../machine.ts";
import type { MeasuredUse } from "../measuredUse.ts";
import { bindingLimit } from "./bindingLimit.ts";
import type { Hindrance } from "./hindrance.ts";
import { Hold } from "./hold.ts";
import { type Evidence, judge, neededCores, type Verdict } from "./judge.ts";
import { type Pace, paceByIntent, paceOf, paceOfAll } from "./pace.ts";
import { EvidenceWindow } from "./window.ts";

/** How long command lines are used before they are read again: a process can execute another program. */
const PACE_INTERVAL_MS = 10_000;
/** The processes of a job whose command lines are read. */
const MAX_PROCESSES = 32;

/** Causes that more CPUs would help against. */
const FOR_LACK_OF_CPU: ReadonlySet<Verdict> = new Set(["own_limit", "neighbours", "itself"]);

type Finding = Pick<Hindrance, "isLive" | "neededCores" | "limit" | "evidence"> & {
  readonly verdict: Verdict;
};

/** A job between two samples. */
class Known {
  readonly window = new EvidenceWindow();
  readonly hold: Hold<Verdict, Finding>;
  pace: Pace | undefined;
  pacedAtMs = Number.NEGATIVE_INFINITY;

  constructor(holdMs: number | undefined) {
    this.hold = new Hold(holdMs);
  }
}

/** Judges jobs again and again, from what was measured of them. Reads their command lines only. */
export class HindranceReader {
  readonly #host: Host;
  readonly #slow: SlowReader;
  readonly #holdMs: number | undefined;
  #known = new Map<string, Known>();

  /** `holdMs`: how long a verdict must last before it is said; 30 s. */
  constructor(host: Host, slow: SlowReader, holdMs?: number) {
    this.#host = host;
    this.#slow = slow;
    this.#holdMs = holdMs;
  }

  /** Judges these jobs, and forgets all others. Returns what holds each back, by its key; those that nothing does are missing. */
  async read(
    uses: readonly MeasuredUse[],
    devices: readonly DeviceReading[],
  ): Promise<Map<string, Hindrance>> {
    const known = new Map(
      uses.map(({ job: { key } }) => [key, this.#known.get(key) ?? new Known(this.#holdMs)]),
    );
    this.#known = known;
    if (uses.length === 0) return new Map();
    await Promise.all(uses.map((use) => this.#readPace(use, known.get(use.job.key) as Known)));
    const machine = readMachine(this.#host);
    const found = uses.map((use) => {
      const own = known.get(use.job.key) as Known;
      const pace = own.pace && paceByIntent(own.pace, use.job.intent);
      const evidence = own.window.add({ use, machine, devices, pace });
      return [use.job.key, this.#judge(own, use, evidence)] as const;
    });
    return new Map(found.filter((each): each is [string, Hindrance] => each[1] !== null));
  }

  #judge(own: Known, use: MeasuredUse, evidence: Evidence): Hindrance | null {
    const verdict = judge(evidence);
    const finding =
      verdict === null
        ? null
        : {
            verdict,
            isLive: evidence.isLive === true,
            neededCores: FOR_LACK_OF_CPU.has(verdict) ? neededCores(evidence) : null,
            limit: bindingLimit(verdict, evidence, use),
            evidence,
          };
    const said = own.hold.add(use.now.atBootMs, finding);
    if (said === null) return null;
    const { sinceBootMs, lastBootMs } = said;
    const sinceMs = this.#host.now() - (this.#host.bootNow() - sinceBootMs);
    return { ...said.finding, sinceMs, forMs: lastBootMs - sinceBootMs };
  }

  async #readPace({ now }: MeasuredUse, own: Known): Promise<void> {
    if (this.#host.bootNow() - own.pacedAtMs < PACE_INTERVAL_MS) return;
    const pids = now.details.pids.slice(0, MAX_PROCESSES);
    const lines = await Promise.all(pids.map((pid) => this.#wordsOf(pid)));
    const known = lines.filter((words) => words !== "late" && words !== undefined);
    // A process that delays this, or hides it, does not change what is known.
    if (lines.includes("late") || known.length === 0) return;
    const paces = known.flatMap((words) => paceOf(words) ?? []);
    own.pace = paceOfAll(paces);
    own.pacedAtMs = this.#host.bootNow();
  }

  async #wordsOf(pid: number): Promise<readonly string[] | "late" | undefined> {
    const stat = visible(() => readStat(this.#host, pid));
    if (stat === undefined) return undefined;
    const answer = await this.#slow.read({ kind: "arguments", pid, startTicks: stat.startTicks });
    return answer === "late" ? "late" : answer?.line.words;
  }
}
