import { errnoName } from "./errno.ts";
import { addressOf, bufferAt, syscall } from "./libc.ts";

/**
 * A line of an eBPF program. Jumps name labels; `assembleEbpf` turns the names into relative jumps.
 * Source: include/uapi/linux/bpf.h; Documentation/bpf/standardization/instruction-set.rst.
 */
export type EbpfLine = { label: string } | EbpfInstruction;

interface EbpfInstruction {
  code: number;
  target: number;
  source: number;
  offset: number;
  imm: number;
  /** The second half of an instruction of 16 bytes. */
  imm2?: number;
  jump?: string;
}

const INSTRUCTION_BYTES = 8;

/** Registers are numbers: 0 has results, 1 to 5 have arguments, calls keep 6 to 9, 10 is the end of the stack. */
const instruction = (
  code: number,
  { target = 0, source = 0, offset = 0, imm = 0 }: Partial<EbpfInstruction>,
): EbpfInstruction => ({ code, target, source, offset, imm });

export const label = (name: string): EbpfLine => ({ label: name });
export const copy = (target: number, source: number): EbpfLine => instruction(0xbf, { target, source });
export const set = (target: number, imm: number): EbpfLine => instruction(0xb7, { target, imm });
export const addNumber = (target: number, imm: number): EbpfLine => instruction(0x07, { target, imm });
export const add = (target: number, source: number): EbpfLine => instruction(0x0f, { target, source });
/** The kernel extends the sign of the factor, so that only the lower 32 bits of the product are right. */
export const multiplyByNumber = (target: number, imm: number): EbpfLine => instruction(0x27, { target, imm });
/** Shifts the lower 32 bits. The others become 0. */
export const shiftRight32 = (target: number, imm: number): EbpfLine => instruction(0x74, { target, imm });
export const maskNumber = (target: number, imm: number): EbpfLine => instruction(0x57, { target, imm });

/** Reverses the bytes of the lower 32 bits on a little-endian machine. */
export const toBigEndian32 = (target: number): EbpfLine => instruction(0xdc, { target, imm: 32 });

/** Sets a register to the address of a byte of an array map with one value. BPF_PSEUDO_MAP_VALUE. */
export const setToMapValue = (target: number, mapFd: number, byteOffset: number): EbpfLine => ({
  ...instruction(0x18, { target, source: 2, imm: mapFd }),
  imm2: byteOffset,
});

/** Loads the 32-bit word at a byte offset of the packet into register 0, as big-endian. Register 6 is the context. */
export const loadPacket = (imm: number): EbpfLine => instruction(0x20, { imm });
export const loadWord = (target: number, source: number, offset: number): EbpfLine =>
  instruction(0x61, { target, source, offset });
export const loadByte = (target: number, source: number, offset = 0): EbpfLine =>
  instruction(0x71, { target, source, offset });
export const storeByte = (target: number, imm: number, offset = 0): EbpfLine =>
  instruction(0x72, { target, offset, imm });
/** Adds a register to a 64-bit word in memory, atomically. */
export const addToMemory = (target: number, source: number, offset = 0): EbpfLine =>
  instruction(0xdb, { target, source, offset });

// Comparisons of the lower 32 bits: the others would extend the sign of the constant.
export const ifEquals = (target: number, imm: number, jump: string): EbpfLine => ({
  ...instruction(0x16, { target, imm }),
  jump,
});
export const ifDiffers = (target: number, imm: number, jump: string): EbpfLine => ({
  ...instruction(0x56, { target, imm }),
  jump,
});
export const ifRegistersDiffer = (target: number, source: number, jump: string): EbpfLine => ({
  ...instruction(0x5e, { target, source }),
  jump,
});
export const callHelper = (imm: number): EbpfLine => instruction(0x85, { imm });
export const end = (): EbpfLine => instruction(0x95, {});

/** BPF_FUNC_get_current_comm, bpf-helpers(7). Socket filters may call it from Linux 6.16 on. */
export const GET_CURRENT_COMM = 16;

/** Returns the program as an array of struct bpf_insn { u8 code; u8 regs; s16 off; s32 imm; }, little-endian. */
export function assembleEbpf(lines: readonly EbpfLine[]): Uint8Array {
  const slots: EbpfInstruction[] = [];
  const targets = new Map<string, number>();
  for (const line of lines) {
    if ("label" in line) targets.set(line.label, slots.length);
    else slots.push(line, ...(line.imm2 === undefined ? [] : [instruction(0, { imm: line.imm2 })]));
  }
  const program = new DataView(new ArrayBuffer(slots.length * INSTRUCTION_BYTES));
  for (const [index, { code, target, source, offset, imm, jump }] of slots.entries()) {
    const at = index * INSTRUCTION_BYTES;
    program.setUint8(at, code);
    program.setUint8(at + 1, (source << 4) | target);
    program.setInt16(at + 2, jump === undefined ? offset : jumpLength(targets, index, jump), true);
    program.setInt32(at + 4, imm | 0, true);
  }
  return new Uint8Array(program.buffer);
}

function jumpLength(targets: Map<string, number>, from: number, name: string): number {
  const to = targets.get(name);
  if (to === undefined) throw new Error(`eBPF jump to "${name}": the program has no such label`);
  return to - from - 1;
}

const BPF_MAP_CREATE = 0;
const BPF_PROG_LOAD = 5;
const BPF_MAP_TYPE_ARRAY = 2;
const BPF_PROG_TYPE_SOCKET_FILTER = 1;
const BPF_F_MMAPABLE = 1 << 10;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
/** sizeof(union bpf_attr) has grown to 144 bytes. The kernel accepts more if the rest is 0. */
const ATTR_BYTES = 256;
const NAME_BYTES = 15;

/**
 * Creates an array map with one value, which processes can map into their memory (Linux 5.5). Returns its descriptor,
 * close-on-exec, or −errno: −EPERM without CAP_BPF.
 */
export function createByteMap(bytes: number, name: string): number {
  const attr = new DataView(new ArrayBuffer(ATTR_BYTES));
  // u32 map_type, key_size, value_size, max_entries, map_flags, inner_map_fd, numa_node; char map_name[16]
  for (const [index, word] of [BPF_MAP_TYPE_ARRAY, 4, bytes, 1, BPF_F_MMAPABLE].entries())
    attr.setUint32(index * 4, word, true);
  new TextEncoder().encodeInto(name, new Uint8Array(attr.buffer, 28, NAME_BYTES));
  return syscall("bpf", BPF_MAP_CREATE, attr, ATTR_BYTES);
}

/** Maps the value of such a map into memory, for good. Needs no right. Returns −errno where that fails. */
export function mapIntoMemory(mapFd: number, bytes: number): Uint8Array<ArrayBuffer> | number {
  const address = syscall("mmap", 0, bytes, PROT_READ_WRITE, MAP_SHARED, mapFd, 0);
  return address < 0 ? address : new Uint8Array(bufferAt(address, bytes));
}

/** Loads a socket filter. Returns its descriptor, close-on-exec, or why the kernel does not accept it. */
export function loadSocketFilter(program: Uint8Array, name: string): number | { reason: string } {
  const license = new TextEncoder().encode("GPL\0");
  const attr = new DataView(new ArrayBuffer(ATTR_BYTES));
  // u32 prog_type, insn_cnt; u64 insns, license; u32 log_level, log_size; u64 log_buf; u32 kern_version, prog_flags;
  // char prog_name[16]
  attr.setUint32(0, BPF_PROG_TYPE_SOCKET_FILTER, true);
  attr.setUint32(4, program.byteLength / INSTRUCTION_BYTES, true);
  attr.setBigUint64(8, BigInt(addressOf(program)), true);
  attr.setBigUint64(16, BigInt(addressOf(license)), true);
  new TextEncoder().encodeInto(name, new Uint8Array(attr.buffer, 48, NAME_BYTES));
  const fd = syscall("bpf", BPF_PROG_LOAD, attr, ATTR_BYTES);
  return fd < 0 ? { reason: `bpf(BPF_PROG_LOAD): ${errnoName(fd)}` } : fd;
}
