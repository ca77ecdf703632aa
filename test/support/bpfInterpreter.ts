const INSTRUCTION_BYTES = 8;
const SLOTS = 16;

/**
 * Runs a classic BPF program as the kernel would. Knows the instructions that src/sys/classicBpf.ts writes.
 * `loadWord` returns the word at an offset; `undefined`, for an offset past the end, ends the program with 0.
 */
export function runBpf(program: Uint8Array, loadWord: (offset: number) => number | undefined): number {
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const slots = new Uint32Array(SLOTS);
  let accumulator = 0;
  let indexRegister = 0;
  for (let at = 0; at < program.byteLength; at += INSTRUCTION_BYTES) {
    const k = code.getUint32(at + 4, true);
    const jump = (isTrue: boolean) => {
      at += code.getUint8(isTrue ? at + 2 : at + 3) * INSTRUCTION_BYTES;
    };
    const opcode = code.getUint16(at, true);
    if (opcode === 0x20) {
      const word = loadWord(k);
      if (word === undefined) return 0;
      accumulator = word >>> 0;
    } else if (opcode === 0x02) slots[k] = accumulator;
    else if (opcode === 0x61) indexRegister = slots[k] ?? 0;
    else if (opcode === 0x15) jump(accumulator === k);
    else if (opcode === 0x1d) jump(accumulator === indexRegister);
    else if (opcode === 0x35) jump(accumulator >= k);
    else if (opcode === 0x06) return k;
    else throw new Error(`unknown BPF instruction 0x${opcode.toString(16)} at ${at / INSTRUCTION_BYTES}`);
  }
  throw new Error("the BPF program runs past its end");
}
