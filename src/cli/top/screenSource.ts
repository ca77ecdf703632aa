import { hostname } from "node:os";
import type { Context } from "../../jobs/context.ts";
import { percentOf } from "../../jobs/exit/slaRates.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import { deviceUseJson, jobUseJson } from "../../json/jobUse.ts";
import type { SnapshotJson } from "../../json/snapshotSchemas.ts";
import { isAlive } from "../../linux/proc/identity.ts";
import { decodeHistory } from "../../metrics/history/encoding.ts";
import type { Point } from "../../metrics/history/points.ts";
import { type JobUse, JobUseReader } from "../../metrics/jobUse.ts";
import { busyPercentBetween, type MachineReading, readMachine } from "../../metrics/machine.ts";
import { ratesOf } from "../../metrics/rates.ts";
import { slaOfLastDay } from "../output/slaFigures.ts";
import { DaemonSource } from "./daemonSource.ts";
import { timelineOf } from "./eventTexts.ts";
import type { JobDetail } from "./jobView.ts";
import { isLiveJob } from "./liveness.ts";
import { readLogEnd } from "./logEnd.ts";
import { coresOf, type JobUseJson, type ScreenData, type ScreenJob, tenantsOf } from "./screenData.ts";
import { Track, type TrackPoint } from "./track.ts";

/** The ended jobs that a screen can show. */
const MAX_ENDED = 20;
/** Counting the verdicts of a day takes longer than everything else. */
const SLA_MAX_AGE_MS = 60_000;
/** The time between the first two measurements, which the first rates need. */
const FIRST_INTERVAL_MS = 200;

/** The data of a job that are kept between two measurements. */
interface Kept {
  readonly command: readonly string[];
  readonly isLive: boolean;
  readonly track: Track;
  /** The daemon was asked for what it measured before this screen began. */
  isHistoryAsked: boolean;
}

/** A use and the span of time that its rates are of, by CLOCK_BOOTTIME. */
interface TimedUse {
  readonly use: JobUseJson;
  readonly endBootMs: number;
  /** Cores in each 5 s before, the oldest first. */
  readonly coresBefore: readonly (number | null)[];
}

/** The source of the data of a screen, which is read for each new one. */
export interface TopSource {
  measure(): Promise<ScreenData>;
  /** Returns what the view of one job shows beside its measurements. `log`: with the end of its log. */
  detailOf(row: ScreenJob, log: boolean): JobDetail | undefined;
  /** Reads what was measured before this screen began, once for each job. Returns true when it has become known. */
  loadHistory(row: ScreenJob): Promise<boolean>;
}

interface Options {
  readonly intervalMs: number;
  /** Lets ffprobe map the input files of jobs. */
  readonly probes: boolean;
}

/**
 * Measures again and again what a screen shows. The daemon's measurements are used where it answers, for the jobs that it
 * observes; all others are measured here, as `ffrtmp stats` does. Reads only.
 */
export class ScreenSource implements TopSource {
  readonly #context: Context;
  readonly #intervalMs: number;
  readonly #reader: JobUseReader;
  readonly #daemon: DaemonSource;
  readonly #kept = new Map<string, Kept>();
  /** The records of the jobs on the screen, by id. */
  #open = new Map<string, OpenJob>();
  /** The jobs that were measured here the last time. */
  #measuredHere = new Set<string>();
  #machine: MachineReading;
  #busyPercent: number | null = null;
  #sla: { percent: number | null; atBootMs: number } | undefined;
  #ended: { version: number; jobs: ScreenData["ended"] } | undefined;

  constructor(context: Context, { intervalMs, probes }: Options) {
    this.#context = context;
    this.#intervalMs = intervalMs;
    this.#reader = new JobUseReader(context, { probes });
    this.#daemon = new DaemonSource(context.state);
    this.#machine = readMachine(context.host);
  }

  close(): void {
    this.#reader.close();
  }

  /** Resolves when the files are mapped that the last measurement asked for. */
  settle(): Promise<void> {
    return this.#reader.settle();
  }

  async measure(): Promise<ScreenData> {
    const { ledger, host } = this.#context;
    const snapshot = await this.#daemon.ask();
    const open = ledger.openJobs().filter(({ process }) => process !== null && isAlive(host, process));
    this.#open = new Map(open.map((job) => [job.jobId, job]));
    const uses = this.#fromDaemon(snapshot, open);
    const others = open.filter(({ key }) => !uses.has(key));
    const isFallback = others.some(({ key }) => this.#kept.has(key) && !this.#measuredHere.has(key));
    for (const [key, use] of await this.#measureHere(others, isFallback)) uses.set(key, use);
    for (const key of this.#kept.keys()) if (!uses.has(key)) this.#kept.delete(key);
    const jobs = open.flatMap((job) => {
      const timed = uses.get(job.key);
      return timed === undefined ? [] : [this.#screenJob(job, timed)];
    });
    this.#readMachine();
    const atBootMs = host.bootNow();
    return {
      atMs: host.now(),
      atBootMs,
      hostname: hostname(),
      hosts: null,
      intervalMs: this.#intervalMs,
      source: snapshot === undefined ? "own" : "daemon",
      sourceNote: this.#daemon.note,
      jobs,
      tenants: tenantsOf(jobs, atBootMs),
      devices: snapshot === undefined ? this.#reader.devices().map(deviceUseJson) : snapshot.gpus,
      machine: this.#machine,
      busyPercent: this.#busyPercent,
      slaPercent: this.#slaPercent(),
      ended: this.#lastEnded(),
    };
  }

  detailOf({ job: { jobId } }: ScreenJob, log: boolean): JobDetail | undefined {
    const job = this.#open.get(jobId);
    if (job === undefined) return undefined;
    return {
      timeline: timelineOf(job, this.#context.ledger.events(job)),
      log: log ? readLogEnd(job) : { lines: [] },
    };
  }

  /** Asks the daemon for the last 10 minutes of a job. */
  async loadHistory({ job }: ScreenJob): Promise<boolean> {
    const key = this.#open.get(job.jobId)?.key ?? "";
    const kept = this.#kept.get(key);
    if (kept === undefined || kept.isHistoryAsked) return false;
    kept.isHistoryAsked = true;
    const stored = await this.#daemon.historyOf(key);
    const history = stored && decodeHistory(stored);
    if (history === undefined) return false;
    kept.track.replaceEarlier(history.points.map(trackPointOf));
    return true;
  }

  #fromDaemon(snapshot: SnapshotJson | undefined, open: readonly OpenJob[]): Map<string, TimedUse> {
    const views = new Map(snapshot?.jobs.map((view) => [view.job_id, view]));
    const nowMs = Date.parse(snapshot?.time ?? "");
    const nowBootMs = this.#context.host.bootNow();
    return new Map(
      open.flatMap((job) => {
        const view = views.get(job.jobId);
        if (view === undefined || view.use === null || view.pid !== job.process?.pid) return [];
        const { time, ...use } = view.use;
        const endBootMs = nowBootMs - Math.max(0, nowMs - Date.parse(time));
        return [[job.key, { use: use as JobUseJson, endBootMs, coresBefore: view.cpu_history }] as const];
      }),
    );
  }

  /** `isFallback`: jobs that the daemon has measured until now get their rates at once, by two measurements. */
  async #measureHere(jobs: readonly OpenJob[], isFallback: boolean): Promise<Map<string, TimedUse>> {
    const isFirst = this.#measuredHere.size === 0 && this.#kept.size === 0;
    if (jobs.length > 0 && (isFallback || isFirst)) {
      await this.#reader.measure(jobs);
      await Bun.sleep(Math.min(FIRST_INTERVAL_MS, this.#intervalMs));
    }
    const uses = await this.#reader.measure(jobs);
    this.#measuredHere = new Set(jobs.map(({ key }) => key));
    const timed = (use: JobUse): TimedUse => ({
      use: jobUseJson(use),
      endBootMs: use.now.atBootMs,
      coresBefore: [],
    });
    return new Map(uses.map((use) => [use.job.key, timed(use)]));
  }

  #screenJob(job: OpenJob, { use, endBootMs, coresBefore }: TimedUse): ScreenJob {
    const kept = this.#kept.get(job.key) ?? newlyKept(job, coresBefore, endBootMs);
    this.#kept.set(job.key, kept);
    if (use.interval_seconds !== null)
      kept.track.add({
        startBootMs: endBootMs - 1000 * use.interval_seconds,
        endBootMs,
        cores: coresOf(use),
        speed: use.media.speed,
        sent: use.network?.tcp_sent_bytes_per_second ?? null,
      });
    const { command, isLive, track } = kept;
    return {
      host: null,
      job,
      command,
      use,
      track,
      isLive: isLive || use.hindrance?.live === true,
      hindrance: use.hindrance?.text ?? null,
    };
  }

  /** A busy part of less time than a jiffy on each CPU would be noise. */
  #readMachine(): void {
    const now = readMachine(this.#context.host);
    const percent = busyPercentBetween(this.#machine, now);
    if (percent === null) return;
    this.#busyPercent = percent;
    this.#machine = now;
  }

  #slaPercent(): number | null {
    const { ledger, host } = this.#context;
    const atBootMs = host.bootNow();
    if (this.#sla === undefined || atBootMs - this.#sla.atBootMs > SLA_MAX_AGE_MS)
      this.#sla = { percent: percentOf(slaOfLastDay(ledger, host.now()).overall), atBootMs };
    return this.#sla.percent;
  }

  #lastEnded(): ScreenData["ended"] {
    const { ledger } = this.#context;
    const version = ledger.versionOfOthers();
    if (version === 0 || this.#ended?.version !== version)
      this.#ended = { version, jobs: ledger.history(MAX_ENDED) };
    return this.#ended.jobs;
  }
}

function trackPointOf({ startMs, endMs, counts }: Point): TrackPoint {
  const seconds = (endMs - startMs) / 1000;
  // A daemon that does not count these leaves them out.
  const { mediaMsec = null, tcpSentBytes = null } = counts as Readonly<Record<string, number | null>>;
  const { cpuPercent } = ratesOf(counts, endMs - startMs);
  return {
    startBootMs: startMs,
    endBootMs: endMs,
    cores: cpuPercent === null ? null : cpuPercent / 100,
    speed: mediaMsec === null || seconds <= 0 ? null : mediaMsec / 1000 / seconds,
    sent: tcpSentBytes === null || seconds <= 0 ? null : tcpSentBytes / seconds,
  };
}

/** The length of a value in the history of a snapshot. */
const CORES_VALUE_MS = 5000;

function newlyKept(job: OpenJob, coresBefore: readonly (number | null)[], endBootMs: number): Kept {
  const track = new Track();
  const lastBootMs = Math.floor(endBootMs / CORES_VALUE_MS) * CORES_VALUE_MS;
  const points = coresBefore.map((cores, index): TrackPoint => {
    const startBootMs = lastBootMs - (coresBefore.length - index) * CORES_VALUE_MS;
    return { startBootMs, endBootMs: startBootMs + CORES_VALUE_MS, cores, speed: null, sent: null };
  });
  track.replaceEarlier(points.filter(({ cores }) => cores !== null));
  return {
    command: shownCommand(job).command,
    isLive: isLiveJob(job),
    track,
    isHistoryAsked: false,
  };
}
