import { closeFd } from "../../sys/descriptor.ts";
import * as bpf from "../../sys/ebpf.ts";
import { errnoName } from "../../sys/errno.ts";
import { COMM_BYTES } from "../proc/comm.ts";
import { asLoaded, CN_IDX_PROC, OFFSET, PROC_EVENT_COMM, PROC_EVENT_EXEC } from "./cnProc.ts";
import { NAME_FACTORS, NAME_HASH_BITS, NAMES_BYTES, replaceNames } from "./nameTable.ts";

/**
 * The map that the program shares with this process, in bytes: a table of wanted names, a table of processes whose exec was
 * dropped, and a count of these execs.
 *
 * Both tables have one byte for each value of a hash, so that each write of either side is a single store and no reader sees
 * half a change. A foreign name with the hash of a wanted one passes, which costs an event and loses none.
 */
const PID_MASK = 0xffff;
const DROPPED_AT = NAMES_BYTES;
const COUNT_AT = DROPPED_AT + PID_MASK + 1;
const MAP_BYTES = COUNT_AT + 8;

const WHOLE_MESSAGE = 0x7fff_ffff;
const NAME = "ffrtmp_execs";

/** The descriptors of a loaded filter, which stay valid when this process executes a program that keeps them open. */
export interface LoadedExecFilter {
  programFd: number;
  mapFd: number;
}

/**
 * Loads an eBPF filter for the socket of execs, which drops execs of processes with other names than those of the policy.
 * Needs CAP_BPF, and Linux 6.16 for the name of the executing process. The process that attaches the filter needs no right.
 */
export function loadExecFilter(ownPid: number): LoadedExecFilter | NoExecFilter {
  const mapFd = bpf.createByteMap(MAP_BYTES, NAME);
  if (mapFd < 0) return { reason: `bpf(BPF_MAP_CREATE): ${errnoName(mapFd)}; ${NEEDED}` };
  const programFd = bpf.loadSocketFilter(buildExecFilter(ownPid, mapFd), NAME);
  if (typeof programFd === "number") return { programFd, mapFd };
  closeFd(mapFd);
  // EINVAL: the kernel does not let socket filters ask for the name, or lets only CAP_PERFMON.
  return { reason: `${programFd.reason}; ${NEEDED}` };
}

/**
 * Builds the filter. It accepts execs of processes with a wanted name and the heartbeat, as the classic filter does, and
 * drops the rest. The connector sends an exec event in the context of the process that executes, after its name was set
 * (exec_binprm in fs/exec.c), so the current name is the new one: the name of the executed file, or of the script.
 */
function buildExecFilter(ownPid: number, mapFd: number): Uint8Array {
  const [result, hash, word, context, pid, at, stack] = [0, 1, 2, 6, 7, 8, 10];
  return bpf.assembleEbpf([
    bpf.copy(context, 1),
    bpf.loadPacket(OFFSET.cnIdx),
    bpf.ifDiffers(result, asLoaded(CN_IDX_PROC), "drop"),
    bpf.loadPacket(OFFSET.pid),
    bpf.copy(pid, result),
    bpf.loadPacket(OFFSET.tgid),
    bpf.ifRegistersDiffer(pid, result, "drop"),
    bpf.loadPacket(OFFSET.what),
    bpf.ifEquals(result, asLoaded(PROC_EVENT_EXEC), "an exec"),
    bpf.ifDiffers(result, asLoaded(PROC_EVENT_COMM), "drop"),
    bpf.ifDiffers(pid, asLoaded(ownPid), "drop"),
    bpf.label("accept"),
    bpf.set(result, WHOLE_MESSAGE),
    bpf.end(),
    bpf.label("an exec"),
    bpf.copy(1, stack),
    bpf.addNumber(1, -COMM_BYTES),
    bpf.set(2, COMM_BYTES),
    bpf.callHelper(bpf.GET_CURRENT_COMM),
    bpf.set(hash, 0),
    ...NAME_FACTORS.flatMap((factor, index) => [
      bpf.loadWord(word, stack, 4 * index - COMM_BYTES),
      bpf.multiplyByNumber(word, factor),
      bpf.add(hash, word),
    ]),
    bpf.shiftRight32(hash, 32 - NAME_HASH_BITS),
    bpf.setToMapValue(at, mapFd, 0),
    bpf.add(at, hash),
    bpf.loadByte(result, at),
    bpf.ifDiffers(result, 0, "accept"),
    bpf.toBigEndian32(pid),
    bpf.maskNumber(pid, PID_MASK),
    bpf.setToMapValue(at, mapFd, DROPPED_AT),
    bpf.add(at, pid),
    bpf.storeByte(at, 1),
    bpf.setToMapValue(at, mapFd, COUNT_AT),
    bpf.set(word, 1),
    bpf.addToMemory(at, word),
    bpf.label("drop"),
    bpf.set(result, 0),
    bpf.end(),
  ]);
}

type PidSet = Pick<ReadonlyMap<number, unknown>, "size" | "has" | "keys">;

/** The processes that executed a program under a name that is not wanted. */
export interface DroppedExecs {
  /** Returns whether the process is one of them. True for a few others too. */
  has(pid: number): boolean;
  /** Returns those of some pids for which it is true, in no order. `highest`: no pid is higher. */
  among(pids: PidSet, highest: number): number[];
}

export interface NoExecFilter {
  reason: string;
}

/** The part of a filter that a source of events uses. */
export type ExecFilterTables = Pick<ExecFilter, keyof ExecFilter>;

/** The tables of a loaded filter, in memory that the kernel shares: reading and writing them is no system call. */
export class ExecFilter {
  readonly programFd: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #droppedWords: Float64Array;
  readonly #count: BigUint64Array;
  #countBefore = 0n;
  #wasQuiet = false;

  /** Returns why the map cannot be used. */
  static open({ programFd, mapFd }: LoadedExecFilter): ExecFilter | NoExecFilter {
    const bytes = bpf.mapIntoMemory(mapFd, MAP_BYTES);
    return typeof bytes === "number"
      ? { reason: `mmap of a BPF map: ${errnoName(bytes)}` }
      : new ExecFilter(programFd, bytes);
  }

  private constructor(programFd: number, bytes: Uint8Array<ArrayBuffer>) {
    this.programFd = programFd;
    this.#bytes = bytes;
    this.#count = new BigUint64Array(bytes.buffer, COUNT_AT, 1);
    this.#droppedWords = new Float64Array(bytes.buffer, DROPPED_AT, (PID_MASK + 1) / 8);
  }

  /** The number of execs that the filter has dropped since it was loaded. */
  get dropped(): number {
    return Number(this.#count[0]);
  }

  /** Passes execs under these names, of which the kernel keeps 15 bytes, from now on. New names pass before the others stop passing. */
  setNames(names: readonly string[]): void {
    replaceNames(this.#bytes, names);
  }

  /**
   * Returns the processes whose execs were dropped since the last call, `undefined` if there are none. An exec during the call
   * is in this answer or in the next one. What it changed about its process is visible in procfs by then.
   */
  takeDropped(): DroppedExecs | undefined {
    // The filter counts an exec last, but some CPUs show the count first.
    const count = this.#count[0] as bigint;
    const isQuiet = count === this.#countBefore;
    const mayBeEmpty = isQuiet && this.#wasQuiet;
    this.#countBefore = count;
    this.#wasQuiet = isQuiet;
    if (mayBeEmpty) return undefined;
    const taken = new Set<number>();
    for (let word = 0; word < this.#droppedWords.length; word++) {
      // Eight bytes of 0 and 1 are 0 as a double only if all are 0.
      if (this.#droppedWords[word] === 0) continue;
      for (let at = word * 8; at < word * 8 + 8; at++)
        if (Atomics.exchange(this.#bytes, DROPPED_AT + at, 0) === 1) taken.add(at);
    }
    return taken.size === 0 ? undefined : droppedExecs(taken);
  }
}

/** `lowBits`: the lower 16 bits of their pids. */
export function droppedExecs(lowBits: ReadonlySet<number>): DroppedExecs {
  const has = (pid: number) => lowBits.has(pid & PID_MASK);
  return {
    has,
    among(pids, highest) {
      const possible = lowBits.size * Math.ceil(highest / (PID_MASK + 1));
      if (pids.size < possible) return [...pids.keys()].filter(has);
      const found: number[] = [];
      for (const low of lowBits)
        for (let pid = low; pid <= highest; pid += PID_MASK + 1) if (pids.has(pid)) found.push(pid);
      return found;
    },
  };
}

/** The descriptors that the first program of this process leaves to the next one, and a text that names them. */
interface Handover {
  fds: number[];
  note: string;
}

// 17 18
const NOTE = /^exec-filter (\d+) (\d+)$/;
const NEEDED =
  "loading it needs Linux 6.16, CAP_BPF and CAP_PERFMON, and a system call filter that allows bpf";

/** Loads the filter for the next program of this process, which has fewer rights. Leaves the reason if that fails. */
export function handOverExecFilter(): Handover {
  const loaded = loadExecFilter(process.pid);
  if ("reason" in loaded) return { fds: [], note: loaded.reason };
  const { programFd, mapFd } = loaded;
  return { fds: [programFd, mapFd], note: `exec-filter ${programFd} ${mapFd}` };
}

/** Opens the filter that `handOverExecFilter` has left. Returns why there is none. */
export function takeOverExecFilter(note: string | undefined): ExecFilter | NoExecFilter {
  const [, programFd, mapFd] = NOTE.exec(note ?? "") ?? [];
  if (programFd === undefined) return { reason: note || NEEDED };
  return ExecFilter.open({ programFd: Number(programFd), mapFd: Number(mapFd) });
}
