import { hostArch, type SyscallName, syscallNumber } from "./syscallNumbers.ts";

type Word = number | bigint;
type Bytes = NodeJS.TypedArray | DataView;

/**
 * glibc, which musl also answers to, then musl by its path. The runtime searches the working directory for
 * another name without a path, where any user may have put a library.
 */
const LIBC_NAMES = ["libc.so.6", "/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"];

/** The runtime lacks memory for compiled code, which calls into the C library need. */
export class NoCompiledCode extends Error {}

type Ffi = Pick<typeof import("bun:ffi"), "dlopen" | "ptr" | "read" | "toArrayBuffer">;

/**
 * The functions of the runtime that bun:ffi wraps. Loading that module takes each start 0.5 ms, 90 page faults and nine blocks of
 * the heap (ADR 0154). Unlike its own, this `dlopen` returns some of its errors.
 */
const ffi = (Bun as unknown as { FFI: Ffi }).FFI;

let loadedLibc: ReturnType<typeof loadLibc> | undefined;

/** Loads libc at the first system call: not every command makes one. */
function loadLibc() {
  const arch = hostArch();
  if (arch === undefined)
    throw new Error(
      `unsupported architecture ${process.arch}: system call numbers are known for x64 and arm64`,
    );
  // The types of the runtime lack this name.
  const word = "i64_fast" as unknown as import("bun:ffi").FFIType.i64_fast;
  const symbols = {
    syscall: { args: [word, word, word, word, word, word, word], returns: word },
    __errno_location: { args: [], returns: "ptr" },
  } as const;
  const failures: string[] = [];
  for (const name of LIBC_NAMES) {
    try {
      const library = ffi.dlopen(name, symbols);
      if (library instanceof Error) throw library;
      const { syscall, __errno_location } = library.symbols;
      const errnoAddress = __errno_location();
      if (errnoAddress === null) throw new Error("__errno_location() returned NULL");
      const numbers: Partial<Record<SyscallName, number>> = {};
      return { arch, numbers, call: syscall, errnoAddress };
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const settings = Object.keys(process.env).filter((name) => name.startsWith("BUN_JSC_"));
  if (settings.length === 0 && failures[0]?.includes("JIT"))
    throw new NoCompiledCode("there is no address space for compiled code, which the runtime needs");
  const cause = settings.length === 0 ? "" : `; the environment sets ${settings.join(", ")}`;
  throw new Error(`cannot load the C library: ${failures.join("; ")}${cause}`);
}

/**
 * Makes one system call through syscall(2) of libc; a buffer is passed as the address of its first byte.
 * Returns the result, or −errno when it failed (−3 is ESRCH). Only for calls whose result fits into 53 bits.
 *
 * errno belongs to the calling thread and lasts until the next call into libc, those of the runtime included,
 * so it is read here at once.
 */
export function syscall(
  name: SyscallName,
  a: Word | Bytes = 0,
  b: Word | Bytes = 0,
  c: Word | Bytes = 0,
  d: Word | Bytes = 0,
  e: Word | Bytes = 0,
  f: Word | Bytes = 0,
): number {
  loadedLibc ??= loadLibc();
  const { numbers, call } = loadedLibc;
  numbers[name] ??= syscallNumber(name, loadedLibc.arch);
  // Written out, because a launch makes 300 calls in the interpreter, where a function for each word takes 0.1 ms of them.
  const result = Number(
    call(
      numbers[name],
      typeof a === "object" ? addressOf(a) : a,
      typeof b === "object" ? addressOf(b) : b,
      typeof c === "object" ? addressOf(c) : c,
      typeof d === "object" ? addressOf(d) : d,
      typeof e === "object" ? addressOf(e) : e,
      typeof f === "object" ? addressOf(f) : f,
    ),
  );
  return result === -1 ? -ffi.read.i32(loadedLibc.errnoAddress, 0) : result;
}

/**
 * Returns a function that makes one system call with numbers, for a caller that makes it thousands of times: its number is looked
 * up once. The result is that of `syscall`.
 */
export function systemCall(name: SyscallName) {
  loadedLibc ??= loadLibc();
  const { arch, call, errnoAddress } = loadedLibc;
  const number = syscallNumber(name, arch);
  return (a: number, b = 0, c = 0, d = 0, e = 0, f = 0): number => {
    const result = Number(call(number, a, b, c, d, e, f));
    return result === -1 ? -ffi.read.i32(errnoAddress, 0) : result;
  };
}

/**
 * Returns the address of a buffer, which the caller must keep referenced while the kernel uses it. The runtime moves an array of up
 * to 1000 bytes when its `buffer` or a part of it is first asked for.
 */
export function addressOf(buffer: Bytes): number {
  return ffi.ptr(buffer);
}

/** Returns a view of memory that the kernel has mapped into this process and that stays mapped. */
export function bufferAt(address: number, bytes: number): ArrayBuffer {
  return ffi.toArrayBuffer(address as import("bun:ffi").Pointer, 0, bytes);
}
