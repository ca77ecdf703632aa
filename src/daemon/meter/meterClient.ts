import { reapChild } from "../../sys/childWait.ts";
import { closeFd } from "../../sys/descriptor.ts";
import type { DeviceReading } from "../../sys/nvml.ts";
import { neverWait, writeSome } from "../../sys/pipe.ts";
import type { MeterProcess } from "./meterProcess.ts";
import type { MeterAnswer, MeterReading, MeterRequest, MeterSubject } from "./protocol.ts";

/** A request fits into an empty pipe, which has 64 KiB: pipe(7). */
const MAX_REQUEST_BYTES = 32 * 1024;
/** An answer has about 1 KB for each job, and the processes that use a GPU. */
const MAX_ANSWER_LENGTH = 8 * 1024 ** 2;
/** Keys of 36 bytes. */
const MAX_FORGOTTEN = 500;
/** After this time without an answer, the answer before says nothing about now. */
const MAX_WAIT_MS = 5000;
/** A meter that has nothing to do for this long gives back its memory: starting again takes CPU time. */
const REST_AFTER_MS = 30_000;
const EAGAIN = 11;

/** The answers of a meter. Without one there are none. */
export interface Meter {
  /** Absent where there is no meter. */
  readonly pid: number | undefined;
  /** Asks for a reading of a job, which is there a moment later. */
  ask(subject: MeterSubject): void;
  forget(key: string): void;
  /** Returns the answer to the last question about a job; `undefined`: there is none, or the next one is late. */
  readingOf(key: string): MeterReading | undefined;
  /** Returns the machine's NVIDIA devices; `undefined` without a driver, without jobs, or where the answer is late. */
  devices(): readonly DeviceReading[] | undefined;
  stop(): void;
}

export const NO_METER: Meter = {
  pid: undefined,
  ask() {},
  forget() {},
  readingOf: () => undefined,
  devices: () => undefined,
  stop() {},
};

/**
 * Asks a meter, and keeps its last answers. Nothing here waits for it: one request is under way at a time, which an empty
 * pipe has room for, and the jobs that are asked for meanwhile are in the next one. A meter that does not answer any more
 * costs its readings, and no time.
 */
export class MeterClient implements Meter {
  readonly #process: MeterProcess;
  readonly #onEnd: () => void;
  readonly #onWarning: (text: string) => void;
  readonly #now: () => number;
  /** The jobs that were asked for and are not forgotten. */
  readonly #known = new Set<string>();
  readonly #wanted = new Map<string, MeterSubject>();
  #forgotten: string[] = [];
  readonly #readings = new Map<string, MeterReading>();
  #devices: readonly DeviceReading[] | undefined;
  /** Since when each job waits for an answer. */
  readonly #askedMs = new Map<string, number>();
  /** The end of the present request that had no room yet. */
  #unsent: Uint8Array | undefined;
  #isAsked = false;
  #isScheduled = false;
  #restTimer: ReturnType<typeof setTimeout> | undefined;
  #mustRest = false;
  #hasEnded = false;

  /** `onEnd` is called when the meter has ended by itself. */
  constructor(
    process: MeterProcess,
    onEnd: () => void,
    onWarning: (text: string) => void,
    now = () => performance.now(),
  ) {
    this.#now = now;
    this.#process = process;
    this.#onEnd = onEnd;
    this.#onWarning = onWarning;
    for (const fd of [process.requestFd, process.answerFd]) neverWait(fd);
    void this.#readAnswers();
  }

  get pid(): number | undefined {
    return this.#hasEnded ? undefined : this.#process.pid;
  }

  ask(subject: MeterSubject): void {
    if (this.#hasEnded) return;
    this.#known.add(subject.key);
    if (!this.#askedMs.has(subject.key)) this.#askedMs.set(subject.key, this.#now());
    this.#wanted.set(subject.key, subject);
    this.#schedule();
  }

  forget(key: string): void {
    this.#wanted.delete(key);
    this.#readings.delete(key);
    this.#askedMs.delete(key);
    if (!this.#known.delete(key)) return;
    this.#forgotten.push(key);
    this.#schedule();
    clearTimeout(this.#restTimer);
    if (this.#known.size === 0) this.#restTimer = setTimeout(() => this.#rest(), REST_AFTER_MS).unref();
  }

  readingOf(key: string): MeterReading | undefined {
    return this.#isLate(key) ? undefined : this.#readings.get(key);
  }

  devices(): readonly DeviceReading[] | undefined {
    if (this.#known.size === 0) return undefined;
    // The job that has waited longest is the first one.
    const [oldest] = this.#askedMs.keys();
    return oldest !== undefined && this.#isLate(oldest) ? undefined : this.#devices;
  }

  /** Closes the pipes, by which the meter ends. */
  stop(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#restTimer);
    closeFd(this.#process.requestFd);
  }

  /** Without a job, the meter gives back its memory. */
  #rest(): void {
    this.#mustRest = this.#known.size === 0;
    this.#send();
  }

  #isLate(key: string): boolean {
    return this.#now() - (this.#askedMs.get(key) ?? Number.POSITIVE_INFINITY) > MAX_WAIT_MS;
  }

  /** Collects the jobs of one turn of the event loop. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#send();
    });
  }

  #send(): void {
    if (this.#hasEnded) return;
    if (this.#unsent === undefined) {
      if (this.#isAsked || !this.#hasRequest()) return;
      this.#isAsked = true;
      this.#unsent = new TextEncoder().encode(`${JSON.stringify(this.#takeRequest())}\n`);
    }
    const written = writeSome(this.#process.requestFd, this.#unsent);
    // EPIPE: the end of its answers says so too.
    if (written < 0 && written !== -EAGAIN) return;
    const rest = this.#unsent.subarray(Math.max(0, written));
    // A small pipe, as of a user with many: the rest follows when the next job is asked for.
    this.#unsent = rest.length === 0 ? undefined : rest;
  }

  #takeRequest(): MeterRequest {
    const jobs: MeterSubject[] = [];
    let bytes = 0;
    for (const [key, subject] of this.#wanted) {
      bytes += Buffer.byteLength(JSON.stringify(subject));
      if (bytes > MAX_REQUEST_BYTES && jobs.length > 0) break;
      jobs.push(subject);
      this.#wanted.delete(key);
    }
    const isLast = this.#mustRest && this.#known.size === 0;
    this.#mustRest = false;
    return { jobs, forgotten: this.#forgotten.splice(0, MAX_FORGOTTEN), isLast };
  }

  #hasRequest(): boolean {
    return this.#mustRest || this.#wanted.size + this.#forgotten.length > 0;
  }

  async #readAnswers(): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    try {
      for await (const chunk of Bun.file(this.#process.answerFd).stream()) {
        text += decoder.decode(chunk, { stream: true });
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        if (text.length > MAX_ANSWER_LENGTH) break;
        for (const line of lines) this.#receive(JSON.parse(line) as MeterAnswer);
      }
    } catch {
      // It has sent something else than answers.
    }
    // This closes the input of a meter that has not ended.
    this.#handleEnd();
  }

  #receive({ readings, devices, warnings }: MeterAnswer): void {
    this.#isAsked = false;
    for (const { key, ...reading } of readings) {
      this.#askedMs.delete(key);
      // It was asked for again meanwhile, and waits for the next request.
      if (this.#wanted.has(key)) this.#askedMs.set(key, this.#now());
      // Unless the job has ended meanwhile.
      if (this.#known.has(key)) this.#readings.set(key, reading);
    }
    this.#devices = devices ?? undefined;
    for (const warning of warnings) this.#onWarning(warning);
    this.#send();
  }

  #handleEnd(): void {
    reapChild(this.#process.pid);
    this.#readings.clear();
    this.#askedMs.clear();
    this.#devices = undefined;
    if (this.#hasEnded) return;
    this.stop();
    this.#onEnd();
  }
}
