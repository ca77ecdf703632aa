import { endingOfStatus, exitCodeOf } from "../jobs/model/ending.ts";
import type { OpenFiles } from "../jobs/start/inheritedFiles.ts";
import { type WorkloadEnd, waitForEnd } from "../jobs/start/spawn.ts";
import { summaryLine } from "../jobs/summary.ts";
import { isFoldDue } from "../ledger/inbox/inboxFile.ts";
import type { Host } from "../linux/host.ts";
import { type ChildEnd, waitBriefly } from "../sys/childWait.ts";
import { CONTINUED_MS, onStopSignal, watchContinuations } from "../sys/ownSignals.ts";
import { endPlainJob, type LaunchedJob, type PlainEnd, type PlainJob } from "./end.ts";
import { continueInNewStart, type RunOptions } from "./newStart.ts";

/** When a wrapper, which may wait for days, gives up what only the start needed, and notices its own stops. */
export const SETTLE_AFTER_MS = 500;

/** The end of a workload, and how far it is recorded. `isUnseen`: it may have been at any time since this process stopped. */
export interface UnrecordedEnd extends WorkloadEnd {
  readonly recorded: PlainEnd;
  readonly isUnseen: boolean;
}

/** The functions of the rest of the program that a plain launch can need, and loads only then. The numbers are exit codes. */
export interface FullProgram {
  print(text: string): void;
  /** Gives up the ability to signal other processes. */
  denySignals(): Promise<void>;
  /** Records an end in the ledger, as far as it is not recorded, and reports it. */
  recordEnd(job: LaunchedJob, end: UnrecordedEnd, options: RunOptions): Promise<number>;
  /** Leaves the job without an observer, because this process received a signal. */
  stopObserving(job: LaunchedJob, signal: string, options: RunOptions): Promise<number>;
  /** Moves the records of ended launches to the ledger, and deletes old history. */
  foldInbox(): Promise<void>;
}

type EndHost = Pick<Host, "cgroupFs" | "now" | "bootNow">;

interface WaitedLaunch {
  plain: PlainJob;
  child: Bun.Subprocess;
  /** The descriptors above 2 that the caller opened, and those that wake the event loop. */
  files: OpenFiles;
}

/**
 * Waits for the end of a plain launch, records it, and returns the exit code of the command. For as long as it waits, this
 * process has loaded nothing that only other ends need.
 */
export function waitForPlainJob(
  host: EndHost,
  launch: WaitedLaunch,
  full: FullProgram,
): number | Promise<number> {
  let stop = (_signal: string): void => {};
  onStopSignal((signal) => stop(signal));
  const sinceMs = host.bootNow();
  // Most commands that end soon end here. Neither a timer nor a promise nor the event loop is used then, which takes 0.5 ms.
  const early = waitBriefly(launch.child.pid, SETTLE_AFTER_MS, launch.files.wakeups);
  if (early !== undefined) {
    // It has lasted for longer than it may: this process was stopped meanwhile, or the machine slept.
    const isUnseen = host.bootNow() - sinceMs > SETTLE_AFTER_MS + CONTINUED_MS;
    return recordPlainEnd(host, launch.plain, endOfChild(early), isUnseen, full);
  }
  // A signal that came meanwhile is handled when the runtime has its turn, after this.
  const signal = new Promise<string>((resolve) => {
    stop = resolve;
  });
  return waitInRuntime(host, launch, full, signal, SETTLE_AFTER_MS - (host.bootNow() - sinceMs));
}

/** Does the same with the event loop of the runtime. */
async function waitInRuntime(
  host: EndHost,
  launch: WaitedLaunch,
  full: FullProgram,
  signal: Promise<string>,
  settleAfterMs: number,
): Promise<number> {
  const { plain, child } = launch;
  let hasContinued: (() => Promise<boolean>) | undefined;
  const settleNow = (): void => {
    hasContinued = watchContinuations(host);
    void settle(launch, full, hasContinued);
  };
  setTimeout(settleNow, Math.max(0, settleAfterMs)).unref();
  const end = await Promise.race([waitForEnd(child), signal]);
  if (typeof end === "string") return full.stopObserving(plain, end, {});
  return recordPlainEnd(host, plain, end, (await hasContinued?.()) ?? false, full);
}

/** Returns the end of a child that wait4(2) has collected. */
export function endOfChild({ status, ...measured }: ChildEnd): WorkloadEnd {
  return { ending: endingOfStatus(status, "parent"), measured };
}

/** Records the end of a plain launch, and returns the exit code of the command. */
export function recordPlainEnd(
  host: EndHost,
  plain: PlainJob,
  end: WorkloadEnd,
  isUnseen: boolean,
  full: FullProgram,
): number | Promise<number> {
  const recorded: PlainEnd = isUnseen ? { kind: "open" } : endPlainJob(host, plain, end);
  if (recorded.kind !== "closed") return full.recordEnd(plain, { ...end, recorded, isUnseen }, {});
  full.print(summaryLine(plain.job, recorded.result));
  const code = exitCodeOf(end.ending);
  return isFoldDue(plain.job.key) ? full.foldInbox().then(() => code) : code;
}

/**
 * Installs the signal filter, and continues in a new start of this program, without the memory of the launch. Before the
 * spawn, the workload would inherit the filter; now it is a process of its own, and the filter concerns the wrapper alone.
 */
async function settle(
  { plain, child, files }: WaitedLaunch,
  full: FullProgram,
  hasContinued: () => Promise<boolean>,
): Promise<void> {
  await full.denySignals();
  // The new start knows of no stop before it, during which the workload may have ended.
  while (await hasContinued()) await Bun.sleep(CONTINUED_MS);
  // An end that the runtime has seen can be reported only by it.
  if (child.exitCode === null && child.signalCode === null)
    continueInNewStart(plain, child.pid, files.inherited);
  Bun.shrink();
}
