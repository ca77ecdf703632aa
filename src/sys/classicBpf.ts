/**
 * Classic BPF: the little programs that the kernel runs for a socket filter (SO_ATTACH_FILTER) and for
 * seccomp. Written as lines with named targets; `assemble` turns the names into the relative jumps.
 * Source: include/uapi/linux/filter.h, linux/bpf_common.h.
 */
export type BpfLine = { label: string } | BpfInstruction;

export interface BpfInstruction {
  code: number;
  k: number;
  /** Where to go on when the comparison holds or fails; left out: with the next line. */
  yes?: string | undefined;
  no?: string | undefined;
}

const LOAD_WORD = 0x20;
const LOAD_X_FROM_SLOT = 0x61;
const STORE_TO_SLOT = 0x02;
const JUMP_EQUAL = 0x15;
const JUMP_EQUAL_X = 0x1d;
const JUMP_AT_LEAST = 0x35;
const RETURN = 0x06;

const INSTRUCTION_BYTES = 8;
const MAX_JUMP_LENGTH = 255;

export function label(name: string): BpfLine {
  return { label: name };
}

/** Loads the 32-bit word at a byte offset: big-endian from a packet, native from seccomp_data. */
export function load(offset: number): BpfLine {
  return { code: LOAD_WORD, k: offset };
}

/** Keeps the loaded word in one of the 16 slots. */
export function store(slot: number): BpfLine {
  return { code: STORE_TO_SLOT, k: slot };
}

/** Takes a slot's word as the second operand of `ifEqualsOther`. */
export function loadOther(slot: number): BpfLine {
  return { code: LOAD_X_FROM_SLOT, k: slot };
}

export function ifEquals(value: number, yes?: string, no?: string): BpfLine {
  return { code: JUMP_EQUAL, k: value, yes, no };
}

export function ifEqualsOther(yes?: string, no?: string): BpfLine {
  return { code: JUMP_EQUAL_X, k: 0, yes, no };
}

export function ifAtLeast(value: number, yes?: string, no?: string): BpfLine {
  return { code: JUMP_AT_LEAST, k: value, yes, no };
}

export function answer(value: number): BpfLine {
  return { code: RETURN, k: value };
}

/** The program as an array of struct sock_filter { u16 code; u8 jt; u8 jf; u32 k; }, little-endian. */
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
  if (to === undefined) throw new Error(`BPF jump to "${name}", which is no label of the program`);
  const length = to - from - 1;
  if (length < 0 || length > MAX_JUMP_LENGTH) {
    throw new Error(
      `BPF jump to "${name}" over ${length} instructions: 0 to ${MAX_JUMP_LENGTH} are possible`,
    );
  }
  return length;
}
