import { hostArch, type SyscallName, syscallNumber } from "./syscallNumbers.ts";

type Ffi = typeof import("bun:ffi");
type Word = number | bigint;

/** A buffer stands for the address of its first byte. */
export type SyscallArgument = Word | NodeJS.TypedArray | DataView;

/** glibc, then musl under the names that distributions give it. */
const LIBC_NAMES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libc.so"];

interface Door {
  ffi: Ffi;
  arch: "x86_64" | "aarch64";
  call: (...words: [Word, Word, Word, Word, Word, Word, Word]) => Word;
  errnoAddress: Parameters<Ffi["read"]["i32"]>[0];
}

let openedDoor: Door | undefined;

/**
 * Loading bun:ffi and libc takes about 0.5 ms, which a program that makes no system call must not pay:
 * hence `require` at first use and not an import above.
 */
function openDoor(): Door {
  const arch = hostArch();
  if (arch === undefined)
    throw new Error(`no system call numbers for ${process.arch}: x64 and arm64 are known`);
  const ffi = require("bun:ffi") as Ffi;
  const { syscall, __errno_location } = openLibc(ffi).symbols;
  const errnoAddress = __errno_location();
  if (errnoAddress === null) throw new Error("__errno_location() of libc answered NULL");
  return { ffi, arch, call: syscall, errnoAddress };
}

function openLibc(ffi: Ffi) {
  const word = ffi.FFIType.i64_fast;
  const symbols = {
    syscall: { args: [word, word, word, word, word, word, word], returns: word },
    __errno_location: { args: [], returns: ffi.FFIType.ptr },
  } as const;
  const failures: string[] = [];
  for (const name of LIBC_NAMES) {
    try {
      return ffi.dlopen(name, symbols);
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(`cannot load the C library: ${failures.join("; ")}`);
}

/**
 * Makes one system call through libc's syscall(2) and returns its result, or −errno when it failed
 * (−3 is ESRCH). Only for calls whose result fits 53 bits.
 *
 * errno belongs to the calling thread and lasts until the next call into libc, the runtime's own
 * included; it is read here at once, and only EAGAIN, EINTR, ENOBUFS, ESRCH, EPERM and their like
 * deserve a branch.
 */
export function syscall(name: SyscallName, ...args: SyscallArgument[]): number {
  openedDoor ??= openDoor();
  const { ffi, arch, call, errnoAddress } = openedDoor;
  const word = (argument: SyscallArgument = 0): Word =>
    typeof argument === "object" ? ffi.ptr(argument) : argument;
  const [a, b, c, d, e, f] = args;
  const result = Number(
    call(syscallNumber(name, arch), word(a), word(b), word(c), word(d), word(e), word(f)),
  );
  return result === -1 ? -ffi.read.i32(errnoAddress, 0) : result;
}

/**
 * The address of a buffer's first byte, for a pointer inside a structure. The caller keeps the buffer
 * alive until the kernel is done with it.
 */
export function addressOf(buffer: NodeJS.TypedArray | DataView): number {
  openedDoor ??= openDoor();
  return openedDoor.ffi.ptr(buffer);
}
