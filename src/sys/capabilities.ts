import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

const PR_SET_NO_NEW_PRIVS = 38;
/** _LINUX_CAPABILITY_VERSION_3, include/uapi/linux/capability.h */
const VERSION = 0x2008_0522;
const OWN_THREAD = 0;

/** The capabilities that observing and governing need, by name and bit, capabilities(7). */
export const KEPT_CAPABILITIES = {
  /** Delegated cgroups and oom_score_adj belong to the user of the process. */
  CAP_DAC_OVERRIDE: 1,
  /** Events of all processes before Linux 6.6, and a large buffer for them. */
  CAP_NET_ADMIN: 12,
  /** The executable, working directory and environment of processes of other users. */
  CAP_SYS_PTRACE: 19,
  /** nice, I/O priority and cpusets of processes of other users. */
  CAP_SYS_NICE: 23,
  /** Lowering an oom_score_adj. */
  CAP_SYS_RESOURCE: 24,
} as const;

/** The capabilities of the meter beside the daemon, which changes nothing: see src/daemon/meter/. */
const METER_CAPABILITIES = {
  /** Files that jobs read and write: reading them. Where a sandbox has withheld it, the other one does. */
  CAP_DAC_READ_SEARCH: 2,
  CAP_DAC_OVERRIDE: 1,
  /** Leaving the time of the last access of such a file as it is: O_NOATIME, open(2). */
  CAP_FOWNER: 3,
  /** Running ffprobe with the rights of a job's user. */
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  /** The descriptors of the processes of other users. */
  CAP_SYS_PTRACE: 19,
  /** Entering the network namespace of a job. */
  CAP_SYS_ADMIN: 21,
  /** The lowest priority for ffprobe, which runs as another user. */
  CAP_SYS_NICE: 23,
} as const;

const KEPT_MASK = maskOf(KEPT_CAPABILITIES);

function maskOf(capabilities: Readonly<Record<string, number>>): bigint {
  return Object.values(capabilities).reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);
}

/** Returns the capabilities that the meter needs, as a bit set. */
export function meterCapabilities(): bigint {
  const permitted = readCapabilities()?.permitted ?? 0n;
  const canRead = (permitted & (1n << BigInt(METER_CAPABILITIES.CAP_DAC_READ_SEARCH))) !== 0n;
  const { CAP_DAC_OVERRIDE: override, ...others } = METER_CAPABILITIES;
  return maskOf(canRead ? others : { ...others, override });
}

/** The sets of the calling thread; capget(2). Ambient ones, of a user other than root, need the inheritable set. */
export interface CapabilitySets {
  effective: bigint;
  permitted: bigint;
  inheritable: bigint;
}

/** Returns the capabilities of the calling thread that governing, or a process with other needs, does not need, as a bit set. */
export function findUnneededCapabilities(needed = KEPT_MASK): bigint {
  return (readCapabilities()?.permitted ?? 0n) & ~needed;
}

/** Returns the names of the kept capabilities that the calling thread has. */
export function listKeptCapabilities(): string[] {
  const permitted = readCapabilities()?.permitted ?? 0n;
  const has = (bit: number) => ((permitted >> BigInt(bit)) & 1n) === 1n;
  return Object.entries(KEPT_CAPABILITIES).flatMap(([name, bit]) => (has(bit) ? [name] : []));
}

/**
 * Removes all capabilities but the needed ones from the calling thread, for good. Capabilities belong to threads,
 * and the runtime has several: only executing a program again afterwards removes them from the whole process.
 * With no_new_privs, execve(2) gives root nothing that the thread did not have.
 *
 * Returns why that failed.
 */
export function dropCapabilities(needed = KEPT_MASK): string | undefined {
  const noNewPrivs = syscall("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (noNewPrivs < 0) return `prctl(PR_SET_NO_NEW_PRIVS): ${errnoName(noNewPrivs)}`;
  const current = readCapabilities();
  if (current === undefined) return "capget failed";
  const { effective, permitted, inheritable } = current;
  const kept = [effective, permitted, inheritable].map((set) => set & needed);
  const result = syscall("capset", header(), encodeSets(kept));
  if (result < 0) return `capset: ${errnoName(result)}`;
  return findUnneededCapabilities(needed) === 0n ? undefined : "capset had no effect";
}

/** Returns the sets of the calling thread; `undefined` where the kernel does not say. */
export function readCapabilities(): CapabilitySets | undefined {
  const data = new Uint32Array(6);
  if (syscall("capget", header(), data) < 0) return undefined;
  const set = (index: number) => (BigInt(data[index + 3] ?? 0) << 32n) | BigInt(data[index] ?? 0);
  return { effective: set(0), permitted: set(1), inheritable: set(2) };
}

/** Sets the effective capabilities of the calling thread, and leaves the other sets. Returns 0 or −errno. */
export function setEffective({ permitted, inheritable }: CapabilitySets, effective: bigint): number {
  return syscall("capset", header(), encodeSets([effective, permitted, inheritable]));
}

/** struct __user_cap_header_struct { u32 version; int pid; } */
function header(): Uint32Array {
  return Uint32Array.of(VERSION, OWN_THREAD);
}

/** struct __user_cap_data_struct { u32 effective, permitted, inheritable; } data[2], the lower halves first. */
function encodeSets(sets: bigint[]): Uint32Array {
  const lower = sets.map((set) => Number(set & 0xffff_ffffn));
  const upper = sets.map((set) => Number(set >> 32n));
  return Uint32Array.from([...lower, ...upper]);
}
