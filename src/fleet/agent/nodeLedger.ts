import { dirname, join } from "node:path";
import { resultJson } from "../../jobs/json.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import {
  describeReadTrouble,
  isDamage,
  isMediumTrouble,
  type Row,
  watchLedgerFile,
} from "../../ledger/database.ts";
import { InboxView } from "../../ledger/inbox/inboxView.ts";
import { INBOX } from "../../ledger/location.ts";
import { IS_OPEN, type NumberedResult, Outbox } from "../../ledger/outbox.ts";
import { readLedgerFile, stampOfLedger } from "../../ledger/readOnly.ts";
import type { FileWatch } from "../../linux/fileWatch.ts";
import { errnoOf } from "../../sys/errno.ts";
import type { ResultSource } from "../chain/sender.ts";
import type { ResultLine } from "../messages/results.ts";

/** The ledger cannot be read. Its message says why, and what to do. */
export class LedgerFault extends Error {}

/** The public members of an `Outbox`. */
export type OutboxView = Pick<Outbox, keyof Outbox>;

/** The ledger of a node as the agent reads it: a file, or one in memory. */
export interface AgentLedger {
  /** Returns a text that changes with each write; `""` where there is no ledger. */
  stamp(): string;
  /** Calls back soon after a write. `undefined`: the stamp must be polled. */
  watch(onWrite: () => void): FileWatch | undefined;
  /** Reads in one transaction. Throws a LedgerFault. */
  read<T>(read: (outbox: OutboxView) => T): T;
  /** Reads what the chain needs, in one transaction. */
  readonly readSource: <T>(read: (source: ResultSource) => T) => T;
  /** Returns the rows of open jobs that may not be in the ledger yet. */
  readInbox(): Row[];
}

/** A ledger as the agent sees it, which changes nothing in its directory. */
export class NodeLedger implements AgentLedger {
  readonly path: string;
  readonly #withCommands: boolean;
  readonly #inbox: InboxView;

  constructor(path: string, withCommands: boolean, report: (text: string) => void) {
    this.path = path;
    this.#withCommands = withCommands;
    this.#inbox = new InboxView(join(dirname(path), INBOX), report);
  }

  /** `""` too for a directory that may not be searched: reading it says why. */
  stamp(): string {
    try {
      return stampOfLedger(this.path);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return "";
    }
  }

  watch(onWrite: () => void): FileWatch | undefined {
    return watchLedgerFile(this.path, onWrite);
  }

  /** Reads in one transaction. Throws a LedgerFault, and what else `readLedgerFile` throws. */
  read<T>(read: (outbox: Outbox) => T): T {
    try {
      return readLedgerFile(this.path, (db) => read(new Outbox(db)));
    } catch (error) {
      if (!isMediumTrouble(error) && !isDamage(error)) throw error;
      throw new LedgerFault(explain(this.path, error), { cause: error });
    }
  }

  /** Reads what the chain needs, in one transaction. */
  readSource = <T>(read: (source: ResultSource) => T): T =>
    this.read((outbox) =>
      read({
        ledgerId: outbox.ledgerId,
        lastSeq: outbox.lastSeq,
        keyOf: (seq) => outbox.keyOf(seq),
        after: (seq, max) => outbox.after(seq, max).map((each) => resultLine(each, this.#withCommands)),
      }),
    );

  /**
   * Reads the open jobs of plain launches in the inbox. Call it before the ledger is read: a job that is moved meanwhile is in
   * both then, and not missed.
   */
  readInbox(): Row[] {
    const sql = `SELECT * FROM jobs WHERE ${IS_OPEN}`;
    // Without a ledger, it folds nothing.
    const refresh = () => this.#inbox.refresh(undefined);
    return this.#inbox.rowsBeside(sql, {}, { refresh, fromFile: () => [] });
  }
}

function explain(path: string, error: unknown): string {
  // A directory that may not be searched is an error here, and is described below.
  if (isMissing(path))
    return `there is no ledger ${path} yet: the first job creates it. If jobs were governed here, name their state directory with --state-path`;
  const { reason, remedy } = describeReadTrouble(path, error);
  return `cannot read the ledger ${path}: ${reason}. ${remedy.charAt(0).toUpperCase()}${remedy.slice(1)}`;
}

function isMissing(path: string): boolean {
  try {
    return stampOfLedger(path) === "";
  } catch {
    return false;
  }
}

/** Returns the line of `ffrtmp history --json`, with a number and a key, and without the command unless it is asked for. */
export function resultLine(numbered: NumberedResult, withCommands: boolean): ResultLine {
  const { seq, key } = numbered;
  if ("fault" in numbered) return { seq, key, fault: numbered.fault };
  const { job, result } = numbered;
  if (withCommands) return { seq, key, ...resultJson(job, result, shownCommand(job)) };
  const hidden = { command: [], cwd: null, isMasked: false };
  const { command: _, command_cut: __, command_masked: ___, ...rest } = resultJson(job, result, hidden);
  return { seq, key, ...rest };
}
