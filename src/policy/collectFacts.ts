import { CollectedSlowFacts, type SlowRead } from "../linux/proc/slowFacts/slowFacts.ts";
import type { SlowReader } from "../linux/proc/slowFacts/slowReader.ts";
import type { ProcStat } from "../linux/proc/stat.ts";
import type { ProcessFacts } from "./facts.ts";
import type { FactReader, FactsOfJob } from "./procFacts.ts";

/** The answer of `ask`, and the facts with which it was made. */
export interface Answered<T> {
  answer: T;
  facts: ProcessFacts;
  slow: CollectedSlowFacts;
}

/**
 * Calls `ask` with the facts of a process until none is missing that it asks for, and reads the missing ones in between,
 * in threads. So a decision stays a function of facts, and only what it needs is read. A fact that cannot be read in time
 * is one that cannot be read.
 */
export async function askWithFacts<T>(
  { reader, slowReader }: { reader: FactReader; slowReader: SlowReader },
  stat: ProcStat,
  ask: (facts: ProcessFacts) => T,
  job?: FactsOfJob,
): Promise<Answered<T>> {
  const slow = new CollectedSlowFacts();
  const add = async (read: SlowRead) => slow.add(read, await slowReader.read(read));
  // Every decision about a name asks for the arguments, and so does the ledger.
  await add({ kind: "arguments", pid: stat.pid, startTicks: stat.startTicks });
  for (;;) {
    const facts = reader.of(stat, job, slow);
    const answer = ask(facts);
    if (slow.missing.size === 0) return { answer, facts, slow };
    await Promise.all([...slow.missing.values()].map(add));
  }
}
