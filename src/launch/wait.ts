import { exitCodeOf } from "../jobs/model/ending.ts";
import { type WorkloadEnd, waitForEnd } from "../jobs/start/spawn.ts";
import { summaryLine } from "../jobs/summary.ts";
import { isFoldDue } from "../ledger/inbox/inboxFile.ts";
import type { Host } from "../linux/host.ts";
import { firstSignal, watchContinuations } from "../sys/ownSignals.ts";
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

interface WaitedLaunch {
  plain: PlainJob;
  child: Bun.Subprocess;
  /** The descriptors above 2 that the caller opened. */
  inherited: readonly number[];
}

/**
 * Waits for the end of a plain launch, records it, and returns the exit code of the command. For as long as it waits, this
 * process has loaded nothing that only other ends need.
 */
export async function waitForPlainJob(
  host: Pick<Host, "cgroupFs" | "now" | "bootNow">,
  launch: WaitedLaunch,
  full: FullProgram,
): Promise<number> {
  const { plain, child } = launch;
  let hasContinued: (() => Promise<boolean>) | undefined;
  setTimeout(() => {
    hasContinued = watchContinuations(host);
    void settle(launch, full);
  }, SETTLE_AFTER_MS).unref();
  const end = await Promise.race([waitForEnd(child), firstSignal()]);
  if (typeof end === "string") return full.stopObserving(plain, end, {});
  return recordPlainEnd(host, plain, end, (await hasContinued?.()) ?? false, full);
}

/** Records the end of a plain launch, and returns the exit code of the command. */
export async function recordPlainEnd(
  host: Pick<Host, "cgroupFs" | "now" | "bootNow">,
  plain: PlainJob,
  end: WorkloadEnd,
  isUnseen: boolean,
  full: FullProgram,
): Promise<number> {
  const recorded: PlainEnd = isUnseen ? { kind: "open" } : endPlainJob(host, plain, end);
  if (recorded.kind !== "closed") return full.recordEnd(plain, { ...end, recorded, isUnseen }, {});
  full.print(summaryLine(plain.job, recorded.result));
  if (isFoldDue(plain.job.key)) await full.foldInbox();
  return exitCodeOf(end.ending);
}

/**
 * Installs the signal filter, and continues in a new start of this program, without the memory of the launch. Before the
 * spawn, the workload would inherit the filter; now it is a process of its own, and the filter concerns the wrapper alone.
 */
async function settle({ plain, child, inherited }: WaitedLaunch, full: FullProgram): Promise<void> {
  await full.denySignals();
  // An end that the runtime has seen can be reported only by it.
  if (child.exitCode === null && child.signalCode === null) continueInNewStart(plain, child.pid, inherited);
  Bun.shrink();
}
