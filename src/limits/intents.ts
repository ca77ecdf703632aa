import type { Limits } from "./limits.ts";

/** The purposes of jobs. Each has limits that let live streams keep real time while batch takes the rest. */
export const INTENTS = ["live", "batch", "best-effort"] as const;
export type Intent = (typeof INTENTS)[number];

export const INTENT = "live, batch or best-effort";

export function isIntent(word: string | null | undefined): word is Intent {
  return INTENTS.some((intent) => intent === word);
}

/**
 * Returns the limits of an intent. Weights only: a quota wastes CPU time that nothing else wants, and a limit on
 * memory can kill. A disk priority is lowered where `hasDiskPriority`, and never raised.
 */
export function intentLimits(intent: Intent, hasDiskPriority: boolean): Limits {
  switch (intent) {
    case "live":
      return { cpuWeight: 1000 };
    case "batch":
      return { cpuWeight: 1, ...(hasDiskPriority && { ionice: { class: "best-effort", level: 7 } }) };
    case "best-effort":
      return { cpuIdle: 1, ...(hasDiskPriority && { ionice: { class: "idle", level: 0 } }) };
  }
}
