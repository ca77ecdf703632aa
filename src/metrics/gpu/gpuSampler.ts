import { type DeviceReading, hasNvml } from "../../sys/nvml.ts";

export type FromGpuWorker = { devices: DeviceReading[] } | { error: string } | { absent: true };

/** The driver's calls take milliseconds, so they are made at most this often, however many readers there are. */
const INTERVAL_MS = 2000;
/** An older reading is not shown: the driver may have stopped to answer. */
const MAX_AGE_MS = 3 * INTERVAL_MS;
const LATE_MS = 200;
const MAX_ERRORS = 3;

/** In the single-file executable, module paths are relative to the common root of its entry points, src/. */
const WORKER_URL = import.meta.url.startsWith("file:///$bunfs/")
  ? "file:///$bunfs/root/metrics/gpu/worker.ts"
  : new URL("./worker.ts", import.meta.url).href;

/**
 * Reads the machine's NVIDIA devices for all jobs together, in a thread: a driver in trouble then delays nothing else.
 * Without NVIDIA's driver there is no thread, and no reading.
 */
export class GpuSampler {
  readonly #warn: (message: string) => void;
  #worker: Worker | undefined;
  #isOff = false;
  #isAsked = false;
  #answered: (() => void) | undefined;
  #errors = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #reading: { devices: readonly DeviceReading[]; atMs: number } | undefined;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /**
   * Asks for a new reading, unless one was asked for less than 2 s ago or is still under way. Resolves when it is there, or
   * late: a driver in trouble may never answer.
   */
  async request(): Promise<void> {
    const now = performance.now();
    if (this.#isOff || this.#isAsked || now - this.#askedAtMs < INTERVAL_MS) return;
    this.#worker ??= this.#start();
    if (this.#worker === undefined) return;
    this.#isAsked = true;
    this.#askedAtMs = now;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answered = resolve;
    this.#worker.postMessage(null);
    await Promise.race([promise, Bun.sleep(LATE_MS)]);
  }

  /** Returns the devices as they were read last; `undefined` without a driver or a reading of the last seconds. */
  latest(): readonly DeviceReading[] | undefined {
    const isFresh = this.#reading !== undefined && performance.now() - this.#reading.atMs < MAX_AGE_MS;
    return isFresh ? this.#reading?.devices : undefined;
  }

  #start(): Worker | undefined {
    if (!hasNvml()) {
      this.#isOff = true;
      return undefined;
    }
    const worker = new Worker(WORKER_URL, { smol: true, name: "ffrtmp gpu" });
    worker.onmessage = ({ data }: { data: FromGpuWorker }) => this.#receive(data);
    worker.onerror = ({ message }) => this.#receive({ error: message });
    worker.unref();
    return worker;
  }

  #receive(answer: FromGpuWorker): void {
    this.#isAsked = false;
    this.#answered?.();
    if ("devices" in answer) {
      this.#errors = 0;
      this.#reading = { devices: answer.devices, atMs: performance.now() };
      return;
    }
    if ("error" in answer && ++this.#errors < MAX_ERRORS) return;
    this.#isOff = true;
    this.#worker?.terminate();
    this.#worker = undefined;
    if ("error" in answer)
      this.#warn(
        `GPUs are not measured any more, after ${MAX_ERRORS} errors: ${answer.error}; see: nvidia-smi`,
      );
  }
}
