import type { MachineUseJson } from "../../../json/machineSchema.ts";
import { askHost, failureOfSsh, NO_SSH, refusalOf, sshCommand } from "../../remote/ssh.ts";
import type { JobUseJson } from "../screenData.ts";
import { parseRecords, parseStatsLine, type RemoteRecord } from "./lines.ts";

/** A connection over which nothing came for so long, and so many intervals, is given up, and another one is tried. */
const [GIVE_UP_MS, GIVE_UP_INTERVALS] = [30_000, 2];
const WATCH_MS = 1000;
/** The pause before the next connection, twice as long after each failure. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [2000, 60_000];
/** The age at which the records of jobs are read again: `ffrtmp limits set` and the policy change limits. */
const RECORDS_MAX_AGE_MS = 30_000;
/** The shortest time between two questions for records. */
const RECORDS_PAUSE_MS = 3000;
const MAX_LINE_BYTES = 1024 ** 2;
const MAX_JOBS = 10_000;
/** What is kept until the line of the machine: several times the lines of so many jobs. */
const MAX_ROUND_BYTES = 64 * 1024 ** 2;
/** The pause after each read. A machine that never stops printing would leave no time for the screen and its keys. */
const READ_PAUSE_MS = 5;
const MAX_STDERR_CHARACTERS = 4096;

/** All that a machine measured at one time. */
export interface Round {
  readonly uses: readonly JobUseJson[];
  readonly machine: MachineUseJson;
  /** When it arrived, by `performance.now()`. */
  readonly atMs: number;
}

export interface FollowOptions {
  /** The words of `stats`. */
  readonly words: readonly string[];
  /** The interval that these words name. */
  readonly intervalMs: number;
  /** The words of `ps`. */
  readonly psWords: readonly string[];
  onRound(follower: HostFollower, round: Round): void;
}

/**
 * Follows `ffrtmp stats --json --machine` on another machine by one connection of ssh, and connects again after a failure. Never
 * throws: what goes wrong is in `failure`.
 */
export class HostFollower {
  readonly host: string;
  readonly #options: FollowOptions;
  /** When this machine was asked first. */
  readonly startedMs = performance.now();
  #round: Round | undefined;
  #failure: string | undefined;
  #child: Bun.Subprocess<"ignore", "pipe", "pipe"> | undefined;
  #isClosed = false;
  #records = new Map<string, RemoteRecord>();
  #recordsAskedMs = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  readonly #closed = Promise.withResolvers<void>();
  /** Ends the question for records. */
  readonly #abort = new AbortController();

  constructor(host: string, options: FollowOptions) {
    this.host = host;
    this.#options = options;
    void this.#follow();
  }

  /** The last measurement. `undefined`: there was none yet. */
  get round(): Round | undefined {
    return this.#round;
  }

  /** Why there is no connection now. `undefined`: there is one, or the first one is being made. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Nothing more will become known by waiting. */
  get isSettled(): boolean {
    return this.#failure !== undefined || (this.#round !== undefined && this.#hasAsked && !this.#isAsking);
  }

  record(jobId: string): RemoteRecord | undefined {
    return this.#records.get(jobId);
  }

  /** Ends the connections, and with them the commands on the other machine. */
  close(): void {
    this.#isClosed = true;
    this.#child?.kill();
    this.#abort.abort();
    this.#closed.resolve();
  }

  get #hasAsked(): boolean {
    return Number.isFinite(this.#recordsAskedMs);
  }

  async #follow(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    while (!this.#isClosed) {
      const startedMs = performance.now();
      const failure = await this.#connectOnce();
      if (this.#isClosed) return;
      const hasAnswered = (this.#round?.atMs ?? Number.NEGATIVE_INFINITY) > startedMs;
      this.#failure = failure;
      // A machine that was silent has used up its time.
      if (failure === undefined) continue;
      if (hasAnswered) pauseMs = FIRST_PAUSE_MS;
      await Promise.race([Bun.sleep(pauseMs), this.#closed.promise]);
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
  }

  /** Returns why the connection has ended; `undefined`: this process ended it, because nothing came. */
  async #connectOnce(): Promise<string | undefined> {
    const ssh = sshCommand(this.host, this.#options.words);
    if (ssh === undefined) return NO_SSH;
    let child: Bun.Subprocess<"ignore", "pipe", "pipe">;
    try {
      child = Bun.spawn(ssh, { stdio: ["ignore", "pipe", "pipe"] });
    } catch (error) {
      return `cannot start ssh: ${error instanceof Error ? error.message : error}`;
    }
    this.#child = child;
    const connectedMs = performance.now();
    const giveUpMs = GIVE_UP_MS + GIVE_UP_INTERVALS * this.#options.intervalMs;
    let isSilent = false;
    const watch = setInterval(() => {
      const lastMs = Math.max(connectedMs, this.#round?.atMs ?? 0);
      if (performance.now() - lastMs < giveUpMs) return;
      isSilent = true;
      child.kill("SIGKILL");
    }, WATCH_MS);
    try {
      const [fault, stderr] = await Promise.all([this.#readRounds(child), readEnd(child.stderr)]);
      await child.exited;
      if (isSilent) return undefined;
      if (fault !== undefined) return fault;
      const refusal = failureOfSsh(child, stderr) ?? refusalOf(stderr, child.exitCode);
      return /unknown option '--machine'/.test(refusal) ? "its ffrtmp is too old to be followed" : refusal;
    } finally {
      clearInterval(watch);
    }
  }

  /** Reads until the output ends. Returns why it cannot be used. */
  async #readRounds(child: Bun.Subprocess<"ignore", "pipe", "pipe">): Promise<string | undefined> {
    const decoder = new TextDecoder();
    let rest = "";
    let uses: JobUseJson[] = [];
    let roundBytes = 0;
    try {
      for await (const bytes of child.stdout) {
        const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        roundBytes += bytes.length;
        if (rest.length > MAX_LINE_BYTES || uses.length > MAX_JOBS || roundBytes > MAX_ROUND_BYTES)
          throw new Error("it is too long");
        for (const line of lines) {
          const parsed = parseStatsLine(line);
          if (parsed === undefined) continue;
          if ("use" in parsed) uses.push(parsed.use);
          else {
            this.#receive({ uses, machine: parsed.machine, atMs: performance.now() });
            uses = [];
            roundBytes = 0;
          }
        }
        await Bun.sleep(READ_PAUSE_MS);
      }
      return undefined;
    } catch {
      child.kill("SIGKILL");
      return "its output is not that of ffrtmp stats";
    }
  }

  #receive(round: Round): void {
    this.#round = round;
    this.#failure = undefined;
    const ageMs = performance.now() - this.#recordsAskedMs;
    const isNew = round.uses.some(({ job_id }) => !this.#records.has(job_id));
    if (ageMs > RECORDS_MAX_AGE_MS || (isNew && ageMs > RECORDS_PAUSE_MS)) void this.#askForRecords();
    this.#options.onRound(this, round);
  }

  /** Without records the screen lacks commands and limits. The next round asks again. */
  async #askForRecords(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#recordsAskedMs = performance.now();
    try {
      const answer = await askHost(this.host, this.#options.psWords, { signal: this.#abort.signal });
      if ("stdout" in answer && answer.code === 0) this.#records = parseRecords(answer.stdout);
    } catch {
      // Not as any release prints it.
    } finally {
      this.#isAsking = false;
    }
  }
}

/** Returns the end of what a process has written, when it has closed it. */
async function readEnd(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream)
    text = (text + decoder.decode(bytes, { stream: true })).slice(-MAX_STDERR_CHARACTERS);
  return text;
}
