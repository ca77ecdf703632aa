import { mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import { writeWhole } from "../trust/durableFile.ts";
import { type Kept, keptDocument, NOTHING_KEPT } from "../trust/kept.ts";

/** The documents that `ffrtmp watch` has accepted from the fleet. They are in its state directory, which only root can change. */
const policyMemory = z.object({
  v: z.literal(1),
  /** The operator's wishes for this node. */
  desired: keptDocument,
  /** The last policy of each ring. A node can return to a ring. */
  rings: z.record(z.string(), keptDocument),
  /** The ring whose policy is in force; `null`: none. */
  in_force: z.string().nullable(),
});

export type PolicyMemory = z.output<typeof policyMemory>;

const EMPTY: PolicyMemory = { v: 1, desired: NOTHING_KEPT, rings: {}, in_force: null };

/** Reads the file. `fault`: it cannot be read, and then what it says about older documents is not known. */
export function readMemory(file: string): { memory: PolicyMemory; fault?: string } {
  try {
    return { memory: policyMemory.parse(JSON.parse(readFileSync(file, "utf8"))) };
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return { memory: EMPTY };
    const reason = errno === undefined ? "it is damaged, or of a later release" : describeErrno(error);
    return { memory: EMPTY, fault: `${file} cannot be read: ${reason}` };
  }
}

/** Returns why it could not be written; `undefined`: it is on the disk. */
export function writeMemory(file: string, memory: PolicyMemory): string | undefined {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeWhole(file, `${JSON.stringify(memory)}\n`, 0o640);
    return undefined;
  } catch (error) {
    return `${file} cannot be written: ${describeErrno(error)}`;
  }
}

export function keptOf(memory: PolicyMemory, ring: string): Kept {
  return memory.rings[ring] ?? NOTHING_KEPT;
}
