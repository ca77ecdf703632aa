import { addressOf } from "./libc.ts";

/**
 * A line of a classic BPF program, which the kernel runs as a socket filter (SO_ATTACH_FILTER) or for
 * seccomp. Jumps name labels; `assemble` turns the names into relative jumps.
 * Source: include/uapi/linux/filter.h, linux/bpf_common.h.
 */
export type BpfLine = { label: string } | BpfInstruction;

interface BpfInstruction {
  code: number;
  k: number;
  /** Labels to jump to when the comparison is true or false. Without a label the next line follows. */
  yes?: string | undefined;
  no?: string | undefined;
}

const INSTRUCTION_BYTES = 8;
const MAX_JUMP_LENGTH = 255;

export const label = (name: string): BpfLine => ({ label: name });

/** Loads the 32-bit word at a byte offset: big-endian from a packet, native from seccomp_data. */
export const load = (offset: number): BpfLine => ({ code: 0x20, k: offset });

/** Stores the loaded word in one of the 16 slots. */
export const store = (slot: number): BpfLine => ({ code: 0x02, k: slot });

/** Loads the word of a slot as the second operand of `ifEqualsX`. */
export const loadX = (slot: number): BpfLine => ({ code: 0x61, k: slot });

export const ifEquals = (k: number, yes?: string, no?: string): BpfLine => ({ code: 0x15, k, yes, no });
export const ifEqualsX = (yes?: string, no?: string): BpfLine => ({ code: 0x1d, k: 0, yes, no });
export const ifAtLeast = (k: number, yes?: string, no?: string): BpfLine => ({ code: 0x35, k, yes, no });

/** Ends the program with a value. */
export const returnValue = (value: number): BpfLine => ({ code: 0x06, k: value });

/** Returns the program as an array of struct sock_filter { u16 code; u8 jt; u8 jf; u32 k; }, little-endian. */
export function assemble(lines: readonly BpfLine[]): Uint8Array {
  const targets = new Map<string, number>();
  const instructions: BpfInstruction[] = [];
  for (const line of lines) {
    if ("label" in line) targets.set(line.label, instructions.length);
    else instructions.push(line);
  }
  const program = new DataView(new ArrayBuffer(instructions.length * INSTRUCTION_BYTES));
  for (const [index, { code, k, yes, no }] of instructions.entries()) {
    const at = index * INSTRUCTION_BYTES;
    program.setUint16(at, code, true);
    program.setUint8(at + 2, jumpLength(targets, index, yes));
    program.setUint8(at + 3, jumpLength(targets, index, no));
    program.setUint32(at + 4, k, true);
  }
  return new Uint8Array(program.buffer);
}

function jumpLength(targets: Map<string, number>, from: number, name: string | undefined): number {
  if (name === undefined) return 0;
  const to = targets.get(name);
  if (to === undefined) throw new Error(`BPF jump to "${name}": the program has no such label`);
  const length = to - from - 1;
  if (length >= 0 && length <= MAX_JUMP_LENGTH) return length;
  throw new Error(`BPF jump to "${name}" over ${length} instructions: the range is 0 to ${MAX_JUMP_LENGTH}`);
}

/** Returns struct sock_fprog { u16 len; struct sock_filter *filter; }. Keep `program` referenced meanwhile. */
export function encodeFprog(program: Uint8Array): DataView {
  const fprog = new DataView(new ArrayBuffer(16));
  fprog.setUint16(0, program.byteLength / INSTRUCTION_BYTES, true);
  fprog.setBigUint64(8, BigInt(addressOf(program)), true);
  return fprog;
}
