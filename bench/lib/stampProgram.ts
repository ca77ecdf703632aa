import { chmodSync, ftruncateSync, openSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readMonotonicUsec } from "../../src/sys/clock.ts";
import { hostArch } from "../../src/sys/syscallNumbers.ts";

/** struct timespec { i64 tv_sec; i64 tv_nsec; } */
const TIMESPEC_BYTES = 16;
const LOAD_ADDRESS = 0x400000;
const FILE_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;

/**
 * Machine code of: clock_gettime(CLOCK_MONOTONIC, sp); write(1, sp, 16); exit(0). The first system call is the program's
 * second instruction, and nothing runs before it: no dynamic linker, no C library.
 */
const CODE = {
  x86_64: [
    [0x48, 0x83, 0xec, 0x10], // sub $16, %rsp
    [0xbf, 1, 0, 0, 0], // mov $1, %edi
    [0x48, 0x89, 0xe6], // mov %rsp, %rsi
    [0xb8, 228, 0, 0, 0], // mov $228, %eax
    [0x0f, 0x05], // syscall
    [0xbf, 1, 0, 0, 0], // mov $1, %edi
    [0x48, 0x89, 0xe6], // mov %rsp, %rsi
    [0xba, 16, 0, 0, 0], // mov $16, %edx
    [0xb8, 1, 0, 0, 0], // mov $1, %eax
    [0x0f, 0x05], // syscall
    [0x31, 0xff], // xor %edi, %edi
    [0xb8, 60, 0, 0, 0], // mov $60, %eax
    [0x0f, 0x05], // syscall
  ].flat(),
  aarch64: words([
    0xd10043ff, // sub sp, sp, #16
    0xd2800020, // mov x0, #1
    0x910003e1, // mov x1, sp
    0xd2800e28, // mov x8, #113
    0xd4000001, // svc #0
    0xd2800020, // mov x0, #1
    0x910003e1, // mov x1, sp
    0xd2800202, // mov x2, #16
    0xd2800808, // mov x8, #64
    0xd4000001, // svc #0
    0xd2800000, // mov x0, #0
    0xd2800ba8, // mov x8, #93
    0xd4000001, // svc #0
  ]),
};
const MACHINE = { x86_64: 62, aarch64: 183 };

function words(instructions: number[]): number[] {
  return [...new Uint8Array(new Uint32Array(instructions).buffer)];
}

/**
 * A program that writes the time of its first instruction to stdout and exits. It is a static ELF file of 200 bytes,
 * written here, so that no machine needs a compiler and the kernel's exec is all that happens before.
 */
export class StampProgram {
  readonly path: string;
  /** The descriptor for the program's stdout. */
  readonly stdout: number;

  constructor(directory: string) {
    this.path = join(directory, "stamp");
    writeFileSync(this.path, elfFile());
    chmodSync(this.path, 0o755);
    this.stdout = openSync(join(directory, "stamp.out"), "a+");
  }

  /** Returns the time from `fromUsec`, of `readMonotonicUsec`, to the first instruction of the last run, in ms. */
  msSince(fromUsec: number): number {
    const bytes = new DataView(new ArrayBuffer(TIMESPEC_BYTES));
    if (readSync(this.stdout, bytes, 0, TIMESPEC_BYTES, 0) !== TIMESPEC_BYTES)
      throw new Error(`${this.path} has not written its time`);
    ftruncateSync(this.stdout, 0);
    const usec = Number(bytes.getBigInt64(0, true)) * 1e6 + Number(bytes.getBigInt64(8, true)) / 1000;
    return (usec - fromUsec) / 1000;
  }
}

export { readMonotonicUsec };

/** Returns an executable with one segment that contains the whole file: elf(5). */
function elfFile(): Uint8Array {
  const arch = hostArch();
  if (arch === undefined) throw new Error(`no machine code for ${process.arch}`);
  const code = CODE[arch];
  const headerBytes = FILE_HEADER_BYTES + PROGRAM_HEADER_BYTES;
  const file = new Uint8Array(headerBytes + code.length);
  const view = new DataView(file.buffer);
  const u16 = (at: number, value: number): void => view.setUint16(at, value, true);
  const u32 = (at: number, value: number): void => view.setUint32(at, value, true);
  const u64 = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);
  // "\x7fELF", 64 bits, little endian, version 1
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  u16(16, 2); // ET_EXEC
  u16(18, MACHINE[arch]);
  u32(20, 1);
  u64(24, LOAD_ADDRESS + headerBytes); // entry
  u64(32, FILE_HEADER_BYTES); // program headers
  u16(52, FILE_HEADER_BYTES);
  u16(54, PROGRAM_HEADER_BYTES);
  u16(56, 1);
  const segment = FILE_HEADER_BYTES;
  u32(segment, 1); // PT_LOAD
  u32(segment + 4, 5); // readable and executable
  u64(segment + 16, LOAD_ADDRESS);
  u64(segment + 24, LOAD_ADDRESS);
  u64(segment + 32, file.length);
  u64(segment + 40, file.length);
  u64(segment + 48, 0x10000); // alignment, for pages of up to 64 KiB
  file.set(code, headerBytes);
  return file;
}
