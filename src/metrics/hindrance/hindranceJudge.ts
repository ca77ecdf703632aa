import type { Verdict } from "../../jobs/model/hindered.ts";
import type { Host } from "../../linux/host.ts";
import type { DeviceReading } from "../../sys/nvml.ts";
import { type CpuReading, readCpus } from "../machine.ts";
import type { MeasuredUse } from "../measuredUse.ts";
import { bindingLimit } from "./bindingLimit.ts";
import type { Hindrance } from "./hindrance.ts";
import { Hold } from "./hold.ts";
import { canBeJudged, judge, neededCores } from "./judge.ts";
import { EvidenceWindow, type WindowEvidence } from "./window.ts";

/** Jobs that are judged within this time share a reading of the CPUs. It is a small part of the 15 s of a window. */
const MACHINE_AGE_MS = 900;
/** Causes that more CPUs would help against. */
const FOR_LACK_OF_CPU: ReadonlySet<Verdict> = new Set(["own_limit", "neighbours", "itself"]);

type Finding = Pick<Hindrance, "isLive" | "neededCores" | "limit" | "evidence"> & {
  readonly verdict: Verdict;
};

/** A job between two samples. */
class Known {
  readonly window = new EvidenceWindow();
  readonly hold: Hold<Verdict, Finding>;
  /** The begin of what is said, by both clocks. */
  since: { bootMs: number; wallMs: number } | undefined;

  constructor(holdMs: number | undefined) {
    this.hold = new Hold(holdMs);
  }
}

/** Judges jobs again and again, by what was measured of them. Reads nothing of a job. */
export class HindranceJudge {
  readonly #host: Host;
  readonly #holdMs: number | undefined;
  readonly #known = new Map<string, Known>();
  #machine: { reading: CpuReading; atBootMs: number } | undefined;

  /** `holdMs`: how long a verdict must last before it is said; 30 s. */
  constructor(host: Host, holdMs?: number) {
    this.#host = host;
    this.#holdMs = holdMs;
  }

  /** Adds a sample of a job, and returns what holds it back. `null`: nothing is known to, or not for long enough. */
  judge(use: MeasuredUse, devices: readonly DeviceReading[]): Hindrance | null {
    const { key } = use.job;
    const own = this.#known.get(key) ?? new Known(this.#holdMs);
    this.#known.set(key, own);
    const evidence = own.window.add({ use, machine: this.#readMachine(use.now.atBootMs), devices });
    const said = own.hold.add(use.now.atBootMs, findingOf(use, evidence));
    if (said === null) return null;
    const { sinceBootMs, lastBootMs } = said;
    if (own.since?.bootMs !== sinceBootMs) {
      const agoMs = this.#host.bootNow() - sinceBootMs;
      own.since = { bootMs: sinceBootMs, wallMs: Math.round(this.#host.now() - agoMs) };
    }
    return { ...said.finding, sinceMs: own.since.wallMs, forMs: lastBootMs - sinceBootMs };
  }

  forget(keys: Iterable<string>): void {
    for (const key of keys) this.#known.delete(key);
  }

  forgetExcept(keys: ReadonlySet<string>): void {
    this.forget([...this.#known.keys()].filter((key) => !keys.has(key)));
  }

  /** `atBootMs`: the present time, as the sample has it. */
  #readMachine(atBootMs: number): CpuReading {
    if (this.#machine === undefined || atBootMs - this.#machine.atBootMs > MACHINE_AGE_MS)
      this.#machine = { reading: readCpus(this.#host), atBootMs };
    return this.#machine.reading;
  }
}

function findingOf(use: MeasuredUse, window: WindowEvidence): Finding | "unknown" | null {
  const verdict = judge(window);
  if (verdict === null) return canBeJudged(window) ? null : "unknown";
  const evidence = window.all();
  return {
    verdict,
    isLive: evidence.isLive === true,
    neededCores: FOR_LACK_OF_CPU.has(verdict) ? neededCores(evidence) : null,
    limit: bindingLimit(verdict, evidence, use),
    evidence,
  };
}
