import { type Context, createContext } from "../jobs/context.ts";
import { Refusal } from "../jobs/errors.ts";
import type { Job } from "../jobs/model/job.ts";
import { Ledger } from "../ledger/ledger.ts";
import { locateState } from "../ledger/location.ts";
import type { LedgerAccess, LedgerStore } from "../ledger/store.ts";
import { type Host, realHost } from "../linux/host.ts";
import type { CommonFlags } from "./options/jobOptions.ts";
import { warn } from "./output/messages.ts";

/** Opens the ledger and reads the machine's cgroup hierarchies. Commands that govern call this first. */
export function openContext(flags: CommonFlags, access?: LedgerAccess, host: Host = realHost()): Context {
  const state = locateState(flags.statePath, process.env);
  const ledger = new Ledger(state.ledger, warn, access);
  return createContext({ host, ledger, state, warn });
}

/** Does the same for commands that read: no file and no directory is created where there is none. */
export function openToRead(flags: CommonFlags): Context {
  return openContext(flags, "read");
}

/** Does the same for commands that change recorded jobs, and so have nothing to do where none is recorded. */
export function openToChange(flags: CommonFlags): Context {
  return openContext(flags, "change");
}

/** Closes the ledger. Throws a Refusal if a change of the job was made and is not recorded. */
export function closeAfterChange({ ledger }: Context, { jobId }: Job): void {
  if (ledger.close() === 0) return;
  throw new Refusal(
    `job ${jobId} is changed, but the change is not recorded`,
    "make the ledger writable, and run the same command again",
  );
}

/** Throws a Refusal if the ledger cannot be read, for commands whose empty answer would be wrong. */
export function requireRecords(context: ReadState): void {
  const { unreadableBecause, remedy, path } = context.ledger;
  if (unreadableBecause === undefined) return;
  throw new Explained(`cannot read the ledger ${path}: ${unreadableBecause}`, remedy, async (plain) =>
    (await import("./otherStates.ts")).explainUnreadable(context, plain),
  );
}

/** A state directory and a reader of its ledger. */
type ReadState = Pick<Context, "state"> & { ledger: LedgerStore };

/** A refusal that `explain` completes, with code that only this failure needs. */
export class Explained extends Refusal {
  readonly explain: () => Promise<Refusal>;

  constructor(
    message: string,
    hint: string | undefined,
    explain: (plain: Refusal) => Refusal | Promise<Refusal>,
  ) {
    super(message, hint);
    this.explain = async () => explain(this);
  }
}
