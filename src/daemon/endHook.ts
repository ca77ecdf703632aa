import { homedir } from "node:os";
import { resultJson } from "../jobs/json.ts";
import { factsOfEnding, type JobResult } from "../jobs/model/ending.ts";
import type { Job } from "../jobs/model/job.ts";
import { outcomeOf } from "../jobs/model/outcome.ts";
import type { EndHookCommand } from "../policy/policy.ts";
import { startProcess } from "../sys/scheduling.ts";
import type { DaemonEvents } from "./events.ts";
import type { HookReport, HookRequest } from "./hookProtocol.ts";

/** Calls that wait or run. A burst of ends waits; later ones are dropped and counted. */
const MAX_PENDING = 256;
const MAX_PENDING_BYTES = 4 * 1024 ** 2;

const STOP_TIMEOUT_MS = 1000;

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The counts of `on_end` since the start of the daemon. */
export interface HookCounts {
  run: number;
  failed: number;
  dropped: number;
}

interface EndHookOptions {
  bus: DaemonEvents;
  /** The `on_end` of the policy in force. */
  command(): EndHookCommand | undefined;
  /** The command line of the hook runner. */
  runner: string[];
}

/** Runs the command of `on_end` with each result that this daemon records. Nothing waits for it. */
export class EndHook {
  readonly counts: HookCounts = { run: 0, failed: 0, dropped: 0 };
  readonly #options: EndHookOptions;
  #runner: Bun.Subprocess<"pipe", "pipe", "ignore"> | undefined;
  readonly #pending = new Map<number, { jobId: string; bytes: number }>();
  #pendingBytes = 0;
  #lastId = 0;
  #isStopped = false;

  /**
   * Starts the hook runner if the policy has the key. Call this before the signal filter is installed, which the runner
   * would inherit.
   */
  constructor(options: EndHookOptions) {
    this.#options = options;
    options.bus.subscribe((event) => {
      if (event.kind === "job-ended") this.#call(event.job, event.result);
      if (event.kind === "policy-loaded") this.#reportMissingRunner();
    });
    if (options.command() !== undefined) this.#start();
  }

  /** The PID of the hook runner, whose descendants are no workloads. */
  get runnerPid(): number | undefined {
    return this.#runner?.pid;
  }

  /** Leaves the calls that wait to the runner, which ends after the last one. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const runner = this.#runner;
    if (runner === undefined) return;
    runner.unref();
    // The runner reads at once. One that was stopped must not keep the daemon.
    await Promise.race([runner.stdin.end(), Bun.sleep(STOP_TIMEOUT_MS)]);
  }

  #start(): void {
    const runner = startProcess(() =>
      Bun.spawn({
        cmd: this.#options.runner,
        stdio: ["pipe", "pipe", "ignore"],
        cwd: "/",
        env: { PATH, HOME: homedir() },
        // Its own session: Ctrl-C in the terminal of the daemon does not end it.
        detached: true,
        onExit: () => this.#handleDeath(),
      }),
    );
    this.#runner = runner;
    void this.#readReports(runner.stdout);
  }

  async #readReports(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) this.#handleReport(JSON.parse(line) as HookReport);
    }
  }

  #call(job: Job, result: JobResult): void {
    const command = this.#options.command();
    if (command === undefined || this.#isStopped) return;
    if (this.#runner === undefined) {
      this.#drop(job, "the process that runs it does not run");
      return;
    }
    const request = requestFor(++this.#lastId, command, job, result);
    const line = new TextEncoder().encode(`${JSON.stringify(request)}\n`);
    if (this.#pending.size >= MAX_PENDING || this.#pendingBytes + line.length > MAX_PENDING_BYTES) {
      this.#drop(job, `${this.#pending.size} calls wait already`);
      return;
    }
    this.#pending.set(request.id, { jobId: job.jobId, bytes: line.length });
    this.#pendingBytes += line.length;
    void this.#runner.stdin.write(line);
    void this.#runner.stdin.flush();
  }

  #drop({ jobId }: Job, reason: string): void {
    this.counts.dropped++;
    this.#options.bus.emit({ kind: "hook-dropped", jobId, reason, dropped: this.counts.dropped });
  }

  #handleReport({ id, failure, output }: HookReport): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#pendingBytes -= pending.bytes;
    this.counts.run++;
    if (failure !== null) this.counts.failed++;
    this.#options.bus.emit({ kind: "hook-ended", jobId: pending.jobId, failure, output });
  }

  /** It cannot be started again: it would inherit the filter, and could not end a command. */
  #handleDeath(): void {
    this.#runner = undefined;
    if (this.#isStopped) return;
    for (const id of [...this.#pending.keys()])
      this.#handleReport({ id, failure: "has lost the process that runs it", output: "" });
    this.#options.bus.emit({ kind: "hook-unavailable", reason: "its process has ended" });
  }

  #reportMissingRunner(): void {
    if (this.#options.command() === undefined || this.#runner !== undefined) return;
    this.#options.bus.emit({
      kind: "hook-unavailable",
      reason: "the policy had none when ffrtmp watch started",
    });
  }
}

function requestFor(id: number, hook: EndHookCommand, job: Job, result: JobResult): HookRequest {
  const { exitCode } = factsOfEnding(result.ending);
  return {
    id,
    command: hook.command,
    timeoutMs: hook.timeoutMs,
    input: `${JSON.stringify(resultJson(job, result))}\n`,
    environment: {
      PATH,
      HOME: homedir(),
      LANG: "C.UTF-8",
      FFRTMP_JOB_ID: job.jobId,
      FFRTMP_OUTCOME: outcomeOf(result.ending),
      FFRTMP_EXIT_CODE: exitCode === null ? "" : String(exitCode),
    },
  };
}
