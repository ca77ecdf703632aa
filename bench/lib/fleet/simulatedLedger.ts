import { type AgentLedger, type OutboxView, resultLine } from "../../../src/fleet/agent/nodeLedger.ts";
import type { ResultSource } from "../../../src/fleet/chain/sender.ts";
import { type RunningJob, toEnded } from "../../../src/jobs/model/job.ts";
import type { NumberedResult, Totals } from "../../../src/ledger/outbox.ts";
import type { LimitOutcome } from "../../../src/limits/outcome.ts";
import { UNKNOWN_USAGE } from "../../../src/limits/usage.ts";
import { someJob, someProcess, someResult } from "../../../test/support/jobs.ts";

const OUTCOMES: LimitOutcome[] = [
  { limit: "cpu.max", outcome: "applied", wanted: "200000 100000", actual: "200000 100000" },
  { limit: "memory.max", outcome: "applied", wanted: "2147483648", actual: "2147483648" },
  { limit: "nice", outcome: "applied", wanted: "5", actual: "5" },
];

/** The jobs and results of a node in the memory of this process, in place of its ledger. */
export class SimulatedLedger implements AgentLedger, OutboxView {
  readonly ledgerId = Bun.randomUUIDv7();
  readonly #running: RunningJob[];
  readonly #ended: NumberedResult[] = [];
  #onWrite: () => void = () => {};

  constructor(jobs: number) {
    this.#running = Array.from({ length: jobs }, newJob);
  }

  /** The oldest job ends with a result, and another one starts. */
  endJob(): void {
    const job = this.#running.shift();
    if (job === undefined) return;
    const result = someResult(job, {
      startMs: job.startedMs,
      endMs: Date.now(),
      outcomes: OUTCOMES,
      usage: { ...UNKNOWN_USAGE, cpuUserUsec: 41_234_567, cpuSystemUsec: 1_234_567, memoryPeakBytes: 312e6 },
    });
    this.#ended.push({ seq: this.#ended.length + 1, key: job.key, job: toEnded(job), result });
    this.#running.push(newJob());
    this.#onWrite();
  }

  get lastSeq(): number {
    return this.#ended.length;
  }

  stamp(): string {
    return `${this.#ended.length}`;
  }

  watch(onWrite: () => void): { close(): void } {
    this.#onWrite = onWrite;
    return {
      close: () => {
        this.#onWrite = () => {};
      },
    };
  }

  read<T>(read: (outbox: OutboxView) => T): T {
    return read(this);
  }

  readSource = <T>(read: (source: ResultSource) => T): T =>
    read({
      ledgerId: this.ledgerId,
      lastSeq: this.lastSeq,
      keyOf: (seq) => this.keyOf(seq),
      after: (seq, max) => this.after(seq, max).map((each) => resultLine(each, false)),
    });

  readInbox(): [] {
    return [];
  }

  lastWithId(): undefined {}

  keyOf(seq: number): string | undefined {
    return this.#ended[seq - 1]?.key;
  }

  after(seq: number, max: number): NumberedResult[] {
    return this.#ended.slice(seq, seq + max);
  }

  endOfNextMs(seq: number): number | undefined {
    const next = this.#ended[seq];
    return next !== undefined && "result" in next ? (next.result.endMs ?? undefined) : undefined;
  }

  openJobs(): RunningJob[] {
    return this.#running;
  }

  totals(): Totals {
    return { jobs: this.#ended.length, compliant: this.#ended.length, violations: {} };
  }

  note(): undefined {}
}

let jobs = 0;

function newJob(): RunningJob {
  const pid = 10_000 + (++jobs % 4_000_000);
  return someJob({
    jobId: `auto-ffmpeg-${pid}`,
    mode: "watch",
    process: someProcess({ pid }),
    startedMs: Date.now(),
    slaEligible: true,
    tenant: `tenant-${jobs % 7}`,
    labels: { channel: `channel-${jobs % 100}`, rule: "transcodes" },
    outcomes: OUTCOMES,
  });
}
