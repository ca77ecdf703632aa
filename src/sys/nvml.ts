import type { Pointer } from "bun:ffi";

// The interface of NVIDIA's driver: NVML API Reference, nvml.h. Handles of devices are pointers.

const SUCCESS = 0;
const NOT_SUPPORTED = 3;
const NOT_FOUND = 6;
const INSUFFICIENT_SIZE = 7;

/** All 64 bits set: the driver does not know the amount. */
const VALUE_NOT_AVAILABLE = 0xffff_ffff_ffff_ffffn;

/** dlopen(3): resolve all symbols now, and offer them to no other library. */
const RTLD_NOW = 2;

/** The library has this name wherever the driver is installed. */
const LIBRARY = "libnvidia-ml.so.1";

/** nvmlProcessInfo_v2_t: unsigned pid, 64 bits of used memory, two numbers of MIG instances. */
const PROCESS_BYTES = 24;
/** nvmlProcessUtilizationSample_t: unsigned pid, 64 bits of time (µs), unsigned sm, memory, encoder, decoder (percent). */
const UTILIZATION_BYTES = 32;
/** nvmlEncoderSessionInfo_t: eight numbers of 32 bits; the second one is the pid. */
const SESSION_BYTES = 32;

/** More processes on one device are read with a second call. */
const FIRST_COUNT = 32;

const FUNCTIONS = {
  nvmlInit_v2: [],
  nvmlDeviceGetCount_v2: ["ptr"],
  nvmlDeviceGetHandleByIndex_v2: ["u32", "ptr"],
  nvmlDeviceGetName: ["u64", "ptr", "u32"],
  nvmlDeviceGetMemoryInfo: ["u64", "ptr"],
  nvmlDeviceGetUtilizationRates: ["u64", "ptr"],
  nvmlDeviceGetEncoderUtilization: ["u64", "ptr", "ptr"],
  nvmlDeviceGetDecoderUtilization: ["u64", "ptr", "ptr"],
  nvmlDeviceGetComputeRunningProcesses_v3: ["u64", "ptr", "ptr"],
  nvmlDeviceGetGraphicsRunningProcesses_v3: ["u64", "ptr", "ptr"],
  nvmlDeviceGetProcessUtilization: ["u64", "ptr", "ptr", "u64"],
  nvmlDeviceGetEncoderSessions: ["u64", "ptr", "ptr"],
} as const satisfies Record<string, readonly ("ptr" | "u32" | "u64")[]>;

type FunctionName = keyof typeof FUNCTIONS;
type Argument = bigint | number | NodeJS.TypedArray | null;
type Functions = Record<FunctionName, (...args: Argument[]) => number>;

/** A call of the driver has failed, with an nvmlReturn_t. */
class NvmlError extends Error {
  constructor(call: string, code: number) {
    super(`${call} of the NVIDIA driver failed with error ${code}`);
  }
}

/** The use of one device. Percentages are averages over the driver's last sampling period. `null` is unknown. */
export interface DeviceUse {
  readonly smPercent: number | null;
  readonly encoderPercent: number | null;
  readonly decoderPercent: number | null;
  readonly memoryUsedBytes: number | null;
  readonly memoryTotalBytes: number | null;
}

/** The use of one device by one process. Absent fields were not reported. */
export interface ProcessUse {
  readonly pid: number;
  readonly memoryBytes?: number;
  /** Shares of the device's units, in percent. */
  readonly smPercent?: number;
  readonly encoderPercent?: number;
  readonly decoderPercent?: number;
  readonly encoderSessions?: number;
}

export interface DeviceReading {
  readonly index: number;
  readonly name: string | null;
  readonly device: DeviceUse;
  /** Several entries can be about one process: each has other fields. */
  readonly processes: readonly ProcessUse[];
}

/**
 * Reads what NVIDIA's driver knows about its devices and the processes on them. Each call can take milliseconds, and longer
 * with a driver in trouble. The driver reports the PIDs of the initial pid namespace.
 */
export class Nvml {
  readonly #call: Functions;
  readonly #devices: { index: number; handle: bigint; name: string | null; lastSeenUs: bigint }[];

  private constructor(call: Functions) {
    this.#call = call;
    this.#must("nvmlInit_v2");
    const count = new Uint32Array(1);
    this.#must("nvmlDeviceGetCount_v2", count);
    this.#devices = Array.from({ length: count[0] ?? 0 }, (_, index) => {
      const handle = new BigUint64Array(1);
      this.#must("nvmlDeviceGetHandleByIndex_v2", index, handle);
      const device = handle[0] as bigint;
      return { index, handle: device, name: this.#nameOf(device), lastSeenUs: 0n };
    });
  }

  /**
   * Loads the library of the driver. Returns `undefined` where none is installed, or an old one without these functions.
   * Throws NvmlError where the driver does not answer.
   */
  static load(): Nvml | undefined {
    const functions = loadFunctions();
    return functions && new Nvml(functions);
  }

  /** Throws NvmlError, except where a device does not have what is asked for. */
  read(): DeviceReading[] {
    return this.#devices.map((device) => ({
      index: device.index,
      name: device.name,
      device: this.#useOf(device.handle),
      processes: [
        ...this.#memoryOfProcesses(device.handle),
        ...this.#utilizationOfProcesses(device),
        ...this.#encoderSessions(device.handle),
      ],
    }));
  }

  #nameOf(device: bigint): string | null {
    const text = new Uint8Array(96);
    if (!this.#may("nvmlDeviceGetName", device, text, text.length)) return null;
    return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
  }

  #useOf(device: bigint): DeviceUse {
    const rates = new Uint32Array(2);
    const memory = new BigUint64Array(3);
    const hasMemory = this.#may("nvmlDeviceGetMemoryInfo", device, memory);
    return {
      smPercent: this.#may("nvmlDeviceGetUtilizationRates", device, rates) ? (rates[0] ?? null) : null,
      encoderPercent: this.#unitPercent("nvmlDeviceGetEncoderUtilization", device),
      decoderPercent: this.#unitPercent("nvmlDeviceGetDecoderUtilization", device),
      memoryTotalBytes: hasMemory ? Number(memory[0]) : null,
      memoryUsedBytes: hasMemory ? Number(memory[2]) : null,
    };
  }

  #unitPercent(name: FunctionName, device: bigint): number | null {
    const percent = new Uint32Array(1);
    const periodUs = new Uint32Array(1);
    return this.#may(name, device, percent, periodUs) ? (percent[0] ?? null) : null;
  }

  /** A process with a graphics and a compute context is in both lists, with the same memory. */
  #memoryOfProcesses(device: bigint): ProcessUse[] {
    const lists = [
      "nvmlDeviceGetComputeRunningProcesses_v3",
      "nvmlDeviceGetGraphicsRunningProcesses_v3",
    ] as const;
    const byPid = new Map<number, ProcessUse>();
    for (const name of lists) {
      const items = this.#list(PROCESS_BYTES, name, (count, room) => this.#code(name, device, count, room));
      for (const item of items) {
        const pid = item.getUint32(0, true);
        const bytes = item.getBigUint64(8, true);
        const known = byPid.get(pid)?.memoryBytes ?? 0;
        if (bytes !== VALUE_NOT_AVAILABLE)
          byPid.set(pid, { pid, memoryBytes: Math.max(known, Number(bytes)) });
        else if (!byPid.has(pid)) byPid.set(pid, { pid });
      }
    }
    return [...byPid.values()];
  }

  /** The driver returns the samples since a time. A process that has used nothing since has none. */
  #utilizationOfProcesses(device: { handle: bigint; lastSeenUs: bigint }): ProcessUse[] {
    const name = "nvmlDeviceGetProcessUtilization";
    const since = device.lastSeenUs;
    const samples = this.#list(UTILIZATION_BYTES, name, (count, items) =>
      this.#code(name, device.handle, items, count, since),
    );
    const latest = new Map<number, { timeUs: bigint; use: ProcessUse }>();
    for (const item of samples) {
      const timeUs = item.getBigUint64(8, true);
      if (timeUs > device.lastSeenUs) device.lastSeenUs = timeUs;
      const pid = item.getUint32(0, true);
      if (timeUs <= (latest.get(pid)?.timeUs ?? since)) continue;
      const [smPercent, encoderPercent, decoderPercent] = [16, 24, 28].map((at) => item.getUint32(at, true));
      latest.set(pid, { timeUs, use: { pid, smPercent, encoderPercent, decoderPercent } as ProcessUse });
    }
    return [...latest.values()].map(({ use }) => use);
  }

  #encoderSessions(device: bigint): ProcessUse[] {
    const name = "nvmlDeviceGetEncoderSessions";
    const sessions = this.#list(SESSION_BYTES, name, (count, items) =>
      this.#code(name, device, count, items),
    );
    const byPid = Map.groupBy(sessions, (item) => item.getUint32(4, true));
    return [...byPid].map(([pid, own]) => ({ pid, encoderSessions: own.length }));
  }

  /** Reads a list whose length the driver tells by the count, or by an error with the count that it needs. */
  #list(
    itemBytes: number,
    name: FunctionName,
    read: (count: Uint32Array, items: Uint8Array) => number,
  ): DataView[] {
    let room = FIRST_COUNT;
    for (;;) {
      const count = new Uint32Array([room]);
      const items = new Uint8Array(room * itemBytes);
      const code = read(count, items);
      if (code === NOT_FOUND || code === NOT_SUPPORTED) return [];
      const found = count[0] ?? 0;
      if (code === INSUFFICIENT_SIZE && found > room) {
        room = found;
        continue;
      }
      if (code !== SUCCESS) throw new NvmlError(name, code);
      return Array.from({ length: Math.min(found, room) }, (_, index) => {
        return new DataView(items.buffer, index * itemBytes, itemBytes);
      });
    }
  }

  #code(name: FunctionName, ...args: Argument[]): number {
    return this.#call[name](...args);
  }

  #must(name: FunctionName, ...args: Argument[]): void {
    const code = this.#code(name, ...args);
    if (code !== SUCCESS) throw new NvmlError(name, code);
  }

  /** Returns false where the device does not have this; throws at any other failure. */
  #may(name: FunctionName, ...args: Argument[]): boolean {
    const code = this.#code(name, ...args);
    if (code === NOT_SUPPORTED || code === NOT_FOUND) return false;
    if (code !== SUCCESS) throw new NvmlError(name, code);
    return true;
  }
}

/** Returns whether the library of the driver is installed. */
export function hasNvml(): boolean {
  return openLibrary() !== undefined;
}

function loadFunctions(): Functions | undefined {
  const library = openLibrary();
  if (library === undefined) return undefined;
  const { ffi, find } = library;
  const functions: Partial<Record<string, unknown>> = {};
  for (const [name, args] of Object.entries(FUNCTIONS)) {
    const address = find(name);
    if (address === null) return undefined;
    const call = ffi.CFunction({ ptr: address, args: [...args], returns: "i32" });
    functions[name] = (...given: Argument[]): number =>
      call(...given.map((each) => (typeof each === "object" && each !== null ? ffi.ptr(each) : each)));
  }
  return functions as Functions;
}

/**
 * Asks the C library to load the driver's: it searches where the machine's libraries are, and never in the working directory,
 * which the runtime's own loader searches.
 */
function openLibrary() {
  const ffi = require("bun:ffi") as typeof import("bun:ffi");
  const text = (value: string): Pointer => ffi.ptr(Buffer.from(`${value}\0`));
  // glibc before 2.34 has these functions in a library of their own.
  for (const name of ["libc.so.6", "libdl.so.2"]) {
    try {
      const { dlopen, dlsym } = ffi.dlopen(name, {
        dlopen: { args: ["ptr", "i32"], returns: "ptr" },
        dlsym: { args: ["ptr", "ptr"], returns: "ptr" },
      }).symbols;
      const library = dlopen(text(LIBRARY), RTLD_NOW);
      return library === null ? undefined : { ffi, find: (symbol: string) => dlsym(library, text(symbol)) };
    } catch {
      // Another C library, or one without these functions.
    }
  }
  return undefined;
}
