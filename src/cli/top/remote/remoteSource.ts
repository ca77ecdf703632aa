import type { MachineUseJson } from "../../../json/machineSchema.ts";
import type { MachineReading } from "../../../metrics/machine.ts";
import { readBootMs } from "../../../sys/clock.ts";
import { commandLineFor } from "../../remote/ssh.ts";
import type { JobDetail } from "../jobView.ts";
import { isLiveJob } from "../liveness.ts";
import {
  coresOf,
  type JobUseJson,
  rowId,
  type ScreenData,
  type ScreenHost,
  type ScreenJob,
  tenantsOf,
} from "../screenData.ts";
import type { TopSource } from "../screenSource.ts";
import { Track } from "../track.ts";
import { HostFollower, type Round } from "./hostFollower.ts";

/** A machine that is late by so much is shown as silent, and its jobs are not shown. */
const LATE_MS = 3000;
const LATE_INTERVALS = 2;
/** The longest wait of `top --once` for a machine, beside the interval. */
const SETTLE_TIMEOUT_MS = 15_000;
const SETTLE_POLL_MS = 20;

interface RemoteOptions {
  readonly intervalMs: number;
  /** False: no ffprobe there. */
  readonly probes: boolean;
  readonly statePath: string | undefined;
}

/**
 * Measures what a screen shows on other machines, by `ffrtmp stats` there. No machine holds up another one: a measurement is
 * what has arrived until then.
 */
export class RemoteSource implements TopSource {
  readonly #intervalMs: number;
  readonly #followers: readonly HostFollower[];
  /** The received data of each job, by the id of its row. */
  readonly #tracks = new Map<string, Track>();

  constructor(hosts: readonly string[], { intervalMs, probes, statePath }: RemoteOptions) {
    this.#intervalMs = intervalMs;
    const state = statePath === undefined ? [] : ["--state-path", statePath];
    const interval = ["--interval", `${intervalMs}ms`];
    const words = ["stats", "--json", "--machine", ...interval, ...(probes ? [] : ["--no-probe"]), ...state];
    this.#followers = hosts.map(
      (host) =>
        new HostFollower(host, {
          words,
          intervalMs,
          psWords: ["ps", "--json", ...state],
          onRound: (follower, round) => this.#track(follower, round),
        }),
    );
  }

  /** Waits until each machine has answered once, or has failed to. */
  async settle(): Promise<void> {
    const endMs = performance.now() + SETTLE_TIMEOUT_MS + this.#intervalMs;
    while (!this.#followers.every(({ isSettled }) => isSettled) && performance.now() < endMs)
      await Bun.sleep(SETTLE_POLL_MS);
  }

  close(): void {
    for (const follower of this.#followers) follower.close();
  }

  async measure(): Promise<ScreenData> {
    const hosts = this.#followers.map((follower) => this.#hostOf(follower));
    const jobs = this.#followers.flatMap((follower, index) =>
      hosts[index]?.trouble === null ? this.#jobsOf(follower) : [],
    );
    const atBootMs = readBootMs();
    return {
      atMs: Date.now(),
      atBootMs,
      hostname: `${hosts.length} ${hosts.length === 1 ? "machine" : "machines"}`,
      hosts,
      intervalMs: this.#intervalMs,
      source: "own",
      sourceNote: null,
      jobs,
      tenants: tenantsOf(jobs, atBootMs),
      devices: [],
      machine: readingOf(undefined),
      busyPercent: null,
      slaPercent: null,
      ended: [],
    };
  }

  detailOf({ host, job: { jobId } }: ScreenJob): JobDetail {
    // The other machine chooses the id.
    const there = (command: string) => commandLineFor(host ?? "", [command, jobId]);
    return {
      timeline: [],
      note: `timeline and all details: ${there("inspect")}`,
      log: { because: `its log is on ${host}: ${there("logs")}` },
    };
  }

  /** The other machine is not asked for more than it sends. */
  async loadHistory(): Promise<boolean> {
    return false;
  }

  #hostOf(follower: HostFollower): ScreenHost {
    const { host, round } = follower;
    return {
      name: host,
      ...this.#answerOf(follower),
      machine: round === undefined ? null : readingOf(round.machine),
      busyPercent: round?.machine.cpu_busy_percent ?? null,
      jobs: round?.uses.length ?? 0,
    };
  }

  #answerOf({ failure, round, startedMs }: HostFollower): Pick<ScreenHost, "trouble" | "isConnecting"> {
    if (failure !== undefined) return { trouble: failure, isConnecting: false };
    const silentMs = performance.now() - (round?.atMs ?? startedMs);
    if (silentMs > LATE_MS + LATE_INTERVALS * this.#intervalMs)
      return { trouble: `no answer for ${Math.floor(silentMs / 1000)} s`, isConnecting: false };
    const isConnecting = round === undefined;
    return { trouble: isConnecting ? "connecting" : null, isConnecting };
  }

  #jobsOf(follower: HostFollower): ScreenJob[] {
    const uses = follower.round?.uses ?? [];
    return uses.map((use): ScreenJob => {
      const { job_id: jobId, pid, tenant } = use;
      const record = follower.record(jobId);
      const command = record?.command ?? [];
      const row = {
        host: follower.host,
        job: {
          jobId,
          tenant,
          process: pid === null ? null : { pid },
          mode: record?.mode ?? "run",
          outcomes: record?.outcomes ?? [],
          cwd: record?.cwd ?? null,
          commandCut: record?.commandCut ?? false,
        },
      };
      return {
        ...row,
        command,
        use,
        track: this.#trackOf(rowId(row)),
        isLive:
          use.hindrance?.live === true ||
          isLiveJob({ command: [...command], intent: record?.intent ?? null }),
        hindrance: use.hindrance?.text ?? null,
      };
    });
  }

  #trackOf(id: string): Track {
    const track = this.#tracks.get(id) ?? new Track();
    this.#tracks.set(id, track);
    return track;
  }

  /** The clock of the other machine is not needed: a round is as old as its arrival. */
  #track({ host }: HostFollower, { uses }: Round): void {
    const endBootMs = readBootMs();
    const present = new Set(uses.map((use) => idOf(host, use)));
    for (const id of this.#tracks.keys())
      if (id.startsWith(`${host}: `) && !present.has(id)) this.#tracks.delete(id);
    for (const use of uses) {
      if (use.interval_seconds === null) continue;
      this.#trackOf(idOf(host, use)).add({
        startBootMs: endBootMs - 1000 * use.interval_seconds,
        endBootMs,
        cores: coresOf(use),
        speed: use.media.speed,
        sent: use.network?.tcp_sent_bytes_per_second ?? null,
      });
    }
  }
}

function idOf(host: string, { job_id: jobId }: JobUseJson): string {
  return rowId({ host, job: { jobId } });
}

function readingOf(machine: MachineUseJson | undefined): MachineReading {
  const [total, available] = [machine?.memory_total_bytes ?? null, machine?.memory_available_bytes ?? null];
  return {
    cpuCount: machine?.cpu_count ?? 1,
    cpuTicks: null,
    memoryUsedBytes: total === null || available === null ? null : total - available,
    memoryTotalBytes: total,
    cpuWaitPercent: machine?.cpu_pressure_percent ?? null,
    memoryWaitPercent: machine?.memory_pressure_percent ?? null,
  };
}
