import { readFileSync, writeFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { formatIonice } from "../../limits/grammar.ts";
import type { Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { LIMITS, TASK_LIMITS, type TaskLimitName } from "../../limits/table.ts";
import { describeErrno, errnoName } from "../../sys/errno.ts";
import { decodeIoprio, encodeIoprio, getIoprio, setIoprio } from "../../sys/ioprio.ts";
import type { AttributeSet } from "../change.ts";
import { type Host, isGone, unlessGone } from "../host.ts";
import { readStat } from "./stat.ts";
import { listThreads } from "./table.ts";

/** A limit that is not a cgroup file but a value of each thread or process. */
interface Attribute {
  wanted(limits: Limits): number | undefined;
  /** Throws when the thread is gone or may not be read. */
  read(host: Host, pid: number, tid: number): number;
  write(host: Host, pid: number, tid: number, value: number): void;
  text(value: number): string;
  /** Returns whether only a privileged user can restore `before`. */
  needsRightsToUndo(before: number, after: number): boolean;
}

const ATTRIBUTES: Readonly<Record<TaskLimitName, Attribute>> = {
  nice: {
    wanted: ({ nice }) => nice,
    // On Linux a nice value belongs to a thread: setpriority(2), "C library/kernel differences".
    read: (_host, _pid, tid) => getPriority(tid),
    write: (_host, _pid, tid, value) => setPriority(tid, value),
    text: String,
    needsRightsToUndo: (before, after) => after > before,
  },
  ionice: {
    wanted: ({ ionice }) => ionice && encodeIoprio(ionice),
    read: (_host, _pid, tid) => valueOrThrow("ioprio_get", getIoprio(tid)),
    write: (_host, _pid, tid, value) => void valueOrThrow("ioprio_set", setIoprio(tid, value)),
    text(value) {
      const priority = decodeIoprio(value);
      return priority.class === "none" ? "none" : formatIonice({ ...priority, class: priority.class });
    },
    needsRightsToUndo: (before) => decodeIoprio(before).class === "realtime",
  },
  oom_score_adj: {
    wanted: ({ oomScoreAdj }) => oomScoreAdj,
    read: (host, pid) => Number(readFileSync(`${host.procRoot}/${pid}/oom_score_adj`, "utf8")),
    write: (host, pid, _tid, value) => writeFileSync(`${host.procRoot}/${pid}/oom_score_adj`, String(value)),
    text: String,
    // No right is needed for the earlier value, unless a privileged process has lowered the value: proc(5).
    needsRightsToUndo: () => false,
  },
};

/**
 * Gives the calling thread the wanted values, for the child that it is about to spawn to inherit. `undo`
 * restores the thread's own values, as far as it may.
 */
export function takeOnAttributes(host: Host, limits: Limits): { outcomes: LimitOutcome[]; undo: () => void } {
  const own = process.pid;
  const undos: (() => void)[] = [];
  const outcomes = wantedValues(limits).map((wanted) =>
    tryTo(wanted, () => {
      const { attribute, value } = wanted;
      const before = attribute.read(host, own, own);
      attribute.write(host, own, own, value);
      undos.push(() => attribute.write(host, own, own, before));
      return attribute.read(host, own, own);
    }),
  );
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

/** `refusals`: a value could not be read, or changing it back would need root. */
export interface AttributePlan {
  changes: AttributeSet[];
  refusals: LimitOutcome[];
}

/** Reads the present value of every thread. Changes nothing. */
export function planAttributes(host: Host, pids: number[], limits: Limits): AttributePlan {
  const plan: AttributePlan = { changes: [], refusals: [] };
  for (const { limit, attribute, wanted, value } of wantedValues(limits)) {
    try {
      const changes = pids.flatMap((pid) => planProcess(host, limit, pid, value));
      const irreversible = changes.find(
        ({ before }) => process.geteuid?.() !== 0 && attribute.needsRightsToUndo(before, value),
      );
      if (irreversible) {
        const because = `going back from ${attribute.text(value)} to ${attribute.text(irreversible.before)} needs root, so it is not done`;
        plan.refusals.push({ limit, outcome: "refused", wanted, because });
      } else plan.changes.push(...changes);
    } catch (error) {
      plan.refusals.push(refused(limit, wanted, error));
    }
  }
  return plan;
}

/** Executes a plan. The outcomes have the values that the main thread of `root` has then. */
export function changeAttributes(
  host: Host,
  root: number,
  limits: Limits,
  { changes, refusals }: AttributePlan,
): LimitOutcome[] {
  return wantedValues(limits).map((wanted) => {
    const { limit, attribute } = wanted;
    const change = (): number => {
      for (const each of changes) if (each.attribute === limit) writeTo(host, each, each.after);
      return attribute.read(host, root, root);
    };
    return refusals.find((refusal) => refusal.limit === limit) ?? tryTo(wanted, change);
  });
}

/**
 * Restores the earlier values. Leaves alone a thread that is gone, whose id belongs to another thread now, or
 * whose value was changed by others since. Returns a line about each value that could not be restored.
 */
export function restoreAttributes(host: Host, changes: readonly AttributeSet[]): string[] {
  return changes.toReversed().flatMap((change) => {
    const { attribute: name, pid, tid, before, after } = change;
    try {
      if (ATTRIBUTES[name].read(host, pid, tid) === after) writeTo(host, change, before);
      return [];
    } catch (error) {
      return isGone(error) ? [] : [`${name} of ${tid} back to ${formatAttribute(name, before)}: ${error}`];
    }
  });
}

export function formatAttribute(name: TaskLimitName, value: number): string {
  return ATTRIBUTES[name].text(value);
}

function planProcess(host: Host, attribute: TaskLimitName, pid: number, after: number): AttributeSet[] {
  const tids = LIMITS[attribute].attributeOf === "thread" ? listThreads(host, pid) : [pid];
  return tids.flatMap((tid): AttributeSet[] => {
    const stat = readStat(host, tid);
    if (stat === "gone") return [];
    const { startTicks } = stat;
    const before = unlessGone(() => ATTRIBUTES[attribute].read(host, pid, tid));
    if (before === "gone" || before === after) return [];
    return [{ kind: "attribute-set", attribute, pid, tid, startTicks, before, after }];
  });
}

function writeTo(host: Host, { attribute, pid, tid, startTicks }: AttributeSet, value: number): void {
  const stat = readStat(host, tid);
  if (stat === "gone" || stat.startTicks !== startTicks) return;
  unlessGone(() => ATTRIBUTES[attribute].write(host, pid, tid, value));
}

function wantedValues(limits: Limits) {
  return TASK_LIMITS.flatMap((limit) => {
    const attribute = ATTRIBUTES[limit];
    const value = attribute.wanted(limits);
    return value === undefined ? [] : [{ limit, attribute, wanted: attribute.text(value), value }];
  });
}

/** Makes a change, which returns the value that it has read back. */
function tryTo(
  { limit, attribute, wanted, value }: ReturnType<typeof wantedValues>[number],
  change: () => number,
): LimitOutcome {
  try {
    const readBack = change();
    const actual = attribute.text(readBack);
    if (readBack === value) return { limit, outcome: "applied", wanted, actual };
    return { limit, outcome: "partial", wanted, actual, because: `the kernel has ${actual}` };
  } catch (error) {
    return refused(limit, wanted, error);
  }
}

function refused(limit: TaskLimitName, wanted: string, error: unknown): LimitOutcome {
  const because = `${describeErrno(error)} setting ${limit} to ${wanted}`;
  return { limit, outcome: "refused", wanted, because, ...(isGone(error) ? { processHadEnded: true } : {}) };
}

function valueOrThrow(call: string, result: number): number {
  if (result >= 0) return result;
  throw Object.assign(new Error(`${call}: ${errnoName(-result)}`), { code: errnoName(-result) });
}
