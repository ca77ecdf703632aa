import { hostname } from "node:os";
import { type SlaRates, slaRates } from "../jobs/exit/slaRates.ts";
import { resultJson } from "../jobs/json.ts";
import type { ResultJson } from "../jobs/jsonSchemas.ts";
import type { ViewedJob } from "../json/jobView.ts";
import { snapshotJson } from "../json/snapshot.ts";
import type { SnapshotJson } from "../json/snapshotSchemas.ts";
import {
  busyPercentBetween,
  type MachineReading,
  readMachine,
  readMachinePressure,
} from "../metrics/machine.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import type { DaemonContext } from "./daemonContext.ts";
import type { LiveStatus } from "./status.ts";

/** A snapshot serves all that ask in this time: readings are a second apart at the least. */
const MAX_AGE_MS = 900;
const MAX_ENDED = 20;
const DAY_MS = 86_400_000;
/** Counting the verdicts of a day takes 1.5 µs for each. It is repeated after this many times the time that it took. */
const SLA_PAUSE = 1000;
/** A busy part that is measured over a shorter time would be noise. */
const MIN_BUSY_MS = 500;
/** An average over a longer time is not the present one. */
const MAX_BUSY_MS = 30_000;

export type ShownStatus = Pick<LiveStatus, "event_source" | "events_dropped" | "problems">;

/** The state of a daemon that a snapshot shows. */
export interface SnapshotSources {
  status(): ShownStatus;
  /** The running jobs, with what they used when they were read last. */
  views(): ViewedJob[];
  devices(): readonly DeviceReading[];
}

/** Makes the snapshots that a daemon shows. However many ask, one is made in a second. */
export class Snapshots {
  readonly #context: Pick<DaemonContext, "host" | "ledger" | "bus">;
  readonly #sources: SnapshotSources;
  readonly #startMs: number;
  #latest: { atMs: number; shown: ShownSnapshot } | undefined;
  #machine: { atMs: number; reading: MachineReading; busyPercent: number | null } | undefined;
  /** `untilMs`: how long they are shown, by `performance.now()`. */
  #sla: { rates: SlaRates; untilMs: number } | undefined;
  /** `version`: that of the ledger, when they were read. */
  #ended: { version: number; results: ResultJson[] } | undefined;

  constructor(context: Pick<DaemonContext, "host" | "ledger" | "bus">, sources: SnapshotSources) {
    this.#context = context;
    this.#sources = sources;
    this.#startMs = context.host.now();
    context.bus.subscribe(({ kind }) => {
      if (kind === "job-ended") this.#ended = undefined;
    });
  }

  /** Returns the present snapshot, at most a second old. */
  latest(): ShownSnapshot {
    const nowMs = this.#context.host.bootNow();
    if (this.#latest === undefined || nowMs - this.#latest.atMs > MAX_AGE_MS)
      this.#latest = { atMs: nowMs, shown: new ShownSnapshot(this.#make()) };
    return this.#latest.shown;
  }

  #make(): SnapshotJson {
    const { host } = this.#context;
    const { event_source: source, events_dropped: dropped, problems } = this.#sources.status();
    const at = { wallMs: host.now(), bootMs: host.bootNow() };
    const { reading: machine, busyPercent } = this.#readMachine(at.bootMs);
    return snapshotJson({
      at,
      hostname: hostname(),
      daemon: { pid: process.pid, startMs: this.#startMs },
      machine,
      busyPercent,
      pressure: readMachinePressure(host),
      sla: this.#slaOfLastDay(at.wallMs),
      events: { source, dropped },
      problems,
      jobs: this.#sources.views(),
      devices: this.#sources.devices(),
      ended: this.#lastEnded(),
    });
  }

  #readMachine(atMs: number): { reading: MachineReading; busyPercent: number | null } {
    const before = this.#machine;
    if (before !== undefined && atMs - before.atMs < MIN_BUSY_MS) return before;
    const reading = readMachine(this.#context.host);
    const isRecent = before !== undefined && atMs - before.atMs < MAX_BUSY_MS;
    const busyPercent = isRecent ? busyPercentBetween(before.reading, reading) : null;
    this.#machine = { atMs, reading, busyPercent };
    return this.#machine;
  }

  #slaOfLastDay(wallMs: number): SlaRates {
    const startMs = performance.now();
    if (this.#sla === undefined || startMs >= this.#sla.untilMs) {
      // The end does not belong to the period.
      const rates = slaRates(this.#context.ledger, wallMs - DAY_MS, wallMs + 1);
      const endMs = performance.now();
      this.#sla = { rates, untilMs: endMs + SLA_PAUSE * (endMs - startMs) };
    }
    return this.#sla.rates;
  }

  #lastEnded(): readonly ResultJson[] {
    const { ledger } = this.#context;
    const version = ledger.versionOfOthers();
    if (this.#ended?.version !== version) {
      const results = ledger.history(MAX_ENDED).map(({ job, result }) => resultJson(job, result));
      this.#ended = { version, results };
    }
    return this.#ended.results;
  }
}

/** A snapshot and its parts as JSON, each made once. */
export class ShownSnapshot {
  readonly #snapshot: SnapshotJson;
  #text: string | undefined;
  #jobsText: string | undefined;

  constructor(snapshot: SnapshotJson) {
    this.#snapshot = snapshot;
  }

  get text(): string {
    this.#text ??= JSON.stringify(this.#snapshot);
    return this.#text;
  }

  get jobsText(): string {
    const { time, jobs } = this.#snapshot;
    this.#jobsText ??= JSON.stringify({ time, jobs });
    return this.#jobsText;
  }
}
