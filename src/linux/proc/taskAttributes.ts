import { readFileSync, writeFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { formatIonice } from "../../limits/grammar.ts";
import { formatLimit, type Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { LIMITS, type TaskLimitName } from "../../limits/table.ts";
import { describeErrno, errnoName } from "../../sys/errno.ts";
import { decodeIoprio, encodeIoprio, getIoprio, setIoprio } from "../../sys/ioprio.ts";
import type { AttributeSet } from "../change.ts";
import { type Host, isGone } from "../host.ts";
import { readStat } from "./stat.ts";
import { listThreads } from "./table.ts";

/** A limit that is not a cgroup file but a value of each thread or process, with the calls that read and write it. */
interface Attribute {
  limit: TaskLimitName;
  wanted(limits: Limits): number | undefined;
  /** Throws when the thread is gone or may not be read. */
  read(host: Host, pid: number, tid: number): number;
  write(host: Host, pid: number, tid: number, value: number): void;
  text(value: number): string;
  /** Returns whether only a privileged user can restore `before`. */
  needsRightsToUndo(before: number, after: number): boolean;
}

const ATTRIBUTES: readonly Attribute[] = [
  {
    limit: "nice",
    wanted: ({ nice }) => nice,
    // On Linux a nice value belongs to a thread, whatever POSIX says: setpriority(2), "C library/kernel differences".
    read: (_host, _pid, tid) => getPriority(tid),
    write: (_host, _pid, tid, value) => setPriority(tid, value),
    text: String,
    needsRightsToUndo: (before, after) => after > before,
  },
  {
    limit: "ionice",
    wanted: ({ ionice }) => ionice && encodeIoprio(ionice),
    read: (_host, _pid, tid) => valueOrThrow("ioprio_get", getIoprio(tid)),
    write: (_host, _pid, tid, value) => void valueOrThrow("ioprio_set", setIoprio(tid, value)),
    text(value) {
      const priority = decodeIoprio(value);
      return priority.class === "none" ? "none" : formatIonice({ ...priority, class: priority.class });
    },
    needsRightsToUndo: (before) => decodeIoprio(before).class === "realtime",
  },
  {
    limit: "oom_score_adj",
    wanted: ({ oomScoreAdj }) => oomScoreAdj,
    read: (host, pid) => Number(readFileSync(`${host.procRoot}/${pid}/oom_score_adj`, "utf8")),
    write: (host, pid, _tid, value) => writeFileSync(`${host.procRoot}/${pid}/oom_score_adj`, String(value)),
    text: String,
    // The kernel lets anyone go back to where they were, as long as nobody privileged lowered it: proc(5).
    needsRightsToUndo: () => false,
  },
];

/**
 * Gives the calling thread the wanted values, for the child that it is about to spawn to inherit.
 * `undo` puts the thread's own back as far as it may.
 */
export function takeOnAttributes(host: Host, limits: Limits): { outcomes: LimitOutcome[]; undo: () => void } {
  const own = process.pid;
  const undos: (() => void)[] = [];
  const outcomes = askedFor(limits).map(({ attribute, wanted, value }): LimitOutcome => {
    try {
      const before = attribute.read(host, own, own);
      attribute.write(host, own, own, value);
      undos.push(() => attribute.write(host, own, own, before));
      return compareReadBack(attribute, wanted, attribute.read(host, own, own), value);
    } catch (error) {
      return refused(attribute, wanted, error);
    }
  });
  const undo = (): void => {
    for (const undoOne of undos) {
      try {
        undoOne();
      } catch {
        // An ordinary user may not lower a nice value again; the waiting wrapper can keep it.
      }
    }
  };
  return { outcomes, undo };
}

/** What will be changed in running processes, and what will not for lack of rights to undo it. */
export interface AttributePlan {
  changes: AttributeSet[];
  refusals: LimitOutcome[];
}

/** Looks at every thread of the processes. Changes nothing. */
export function planAttributes(host: Host, pids: number[], limits: Limits): AttributePlan {
  const plan: AttributePlan = { changes: [], refusals: [] };
  for (const { attribute, wanted, value } of askedFor(limits)) {
    try {
      const changes = pids.flatMap((pid) => planProcess(host, attribute, pid, value));
      const irreversible = changes.find(({ before }) => !mayUndo(attribute, before, value));
      if (irreversible) {
        const because = `going back from ${attribute.text(value)} to ${attribute.text(irreversible.before)} needs root, so it is not done`;
        plan.refusals.push({ limit: attribute.limit, outcome: "refused", wanted, because });
      } else {
        plan.changes.push(...changes);
      }
    } catch (error) {
      plan.refusals.push(refused(attribute, wanted, error));
    }
  }
  return plan;
}

/** Carries a plan out and reads back what the main thread of `root` holds then. */
export function changeAttributes(
  host: Host,
  root: number,
  limits: Limits,
  plan: AttributePlan,
): LimitOutcome[] {
  return askedFor(limits).map(({ attribute, wanted, value }): LimitOutcome => {
    const refusal = plan.refusals.find(({ limit }) => limit === attribute.limit);
    if (refusal) return refusal;
    try {
      for (const change of plan.changes) {
        if (change.attribute === attribute.limit) writeTo(host, attribute, change, change.after);
      }
      return compareReadBack(attribute, wanted, attribute.read(host, root, root), value);
    } catch (error) {
      return refused(attribute, wanted, error);
    }
  });
}

/**
 * Restores the earlier values. Leaves alone a thread that is gone, whose id belongs to another thread now, or whose value
 * was changed by others since. Returns what could not be restored.
 */
export function restoreAttributes(host: Host, changes: readonly AttributeSet[]): string[] {
  return changes.toReversed().flatMap((change) => {
    const attribute = ATTRIBUTES.find(({ limit }) => limit === change.attribute);
    if (!attribute) return [];
    try {
      if (attribute.read(host, change.pid, change.tid) === change.after)
        writeTo(host, attribute, change, change.before);
      return [];
    } catch (error) {
      if (isGone(error)) return [];
      return [`${change.attribute} of ${change.tid} back to ${attribute.text(change.before)}: ${error}`];
    }
  });
}

/** Formats a value of an attribute as a person writes it. */
export function formatAttribute(name: AttributeSet["attribute"], value: number): string {
  return ATTRIBUTES.find(({ limit }) => limit === name)?.text(value) ?? String(value);
}

function planProcess(host: Host, attribute: Attribute, pid: number, after: number): AttributeSet[] {
  return (LIMITS[attribute.limit].attributeOf === "thread" ? listThreads(host, pid) : [pid]).flatMap(
    (tid): AttributeSet[] => {
      const stat = readStat(host, tid);
      if (stat === "gone") return [];
      const { startTicks } = stat;
      try {
        const before = attribute.read(host, pid, tid);
        return before === after
          ? []
          : [{ kind: "attribute-set", attribute: attribute.limit, pid, tid, startTicks, before, after }];
      } catch (error) {
        if (isGone(error)) return [];
        throw error;
      }
    },
  );
}

function writeTo(
  host: Host,
  attribute: Attribute,
  { pid, tid, startTicks }: AttributeSet,
  value: number,
): void {
  const stat = readStat(host, tid);
  if (stat === "gone" || stat.startTicks !== startTicks) return;
  try {
    attribute.write(host, pid, tid, value);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function mayUndo(attribute: Attribute, before: number, after: number): boolean {
  return process.geteuid?.() === 0 || !attribute.needsRightsToUndo(before, after);
}

function askedFor(limits: Limits): { attribute: Attribute; wanted: string; value: number }[] {
  return ATTRIBUTES.flatMap((attribute) => {
    const value = attribute.wanted(limits);
    const wanted = formatLimit(limits, attribute.limit);
    return value === undefined || wanted === undefined ? [] : [{ attribute, wanted, value }];
  });
}

function compareReadBack(
  { limit, text }: Attribute,
  wanted: string,
  actual: number,
  value: number,
): LimitOutcome {
  if (actual === value) return { limit, outcome: "applied", wanted, actual: text(actual) };
  const because = `the kernel holds ${text(actual)}`;
  return { limit, outcome: "partial", wanted, actual: text(actual), because };
}

function refused({ limit }: Attribute, wanted: string, error: unknown): LimitOutcome {
  const reason = describeErrno(error);
  return { limit, outcome: "refused", wanted, because: `${reason} setting ${limit} to ${wanted}` };
}

function valueOrThrow(call: string, result: number): number {
  if (result >= 0) return result;
  throw Object.assign(new Error(`${call}: ${errnoName(-result)}`), { code: errnoName(-result) });
}
