import { repairAll } from "../../jobs/recovery/recover.ts";
import { logLineJson } from "../../json/logLine.ts";
import { inodeOf, isMissing, watchLedgerFile } from "../../ledger/database.ts";
import { LedgerReader, type LogEntry, type LogPosition } from "../../ledger/reader.ts";
import { escapeLines } from "../../sys/visibleText.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { timeOptions } from "../options/timeOptions.ts";
import { explainNoRecords } from "../output/emptyState.ts";
import { logLineText } from "../output/logLines.ts";
import { warn, writeOut } from "../output/messages.ts";
import { formatTimeOfDay } from "../output/times.ts";
import { openToRead, requireRecords } from "../session.ts";

const DAY_MS = 86_400_000;
/** The interval of reading where no inotify instance is left, and while there is no ledger. */
const POLL_INTERVAL_MS = 1000;
/** The same beside inotify, which does not notice the writes of other machines to a network file system. */
const CHECK_INTERVAL_MS = 10_000;

interface EventsFlags extends CommonFlags {
  since?: string;
  follow?: boolean;
  job?: string;
  utc?: boolean;
}

/** Prints what is recorded about jobs and the daemon, one line for each event, the oldest first. */
export async function events(flags: EventsFlags): Promise<number> {
  const nowMs = Date.now();
  const sinceMs = flags.since === undefined ? firstMs(flags, nowMs) : timeOptions.since(flags.since, nowMs);
  const context = openToRead(flags);
  requireRecords(context);
  const { ledger } = context;
  const { path, isMissing: wasMissing } = ledger;
  if (!wasMissing) repairAll(context);
  ledger.close();
  if (wasMissing) {
    explainNoRecords(context, "events");
    if (!flags.follow) return 0;
    warn(`waiting until there is a ledger: ${path}`);
    while (isMissing(path)) await Bun.sleep(POLL_INTERVAL_MS);
  }
  const reader = new LedgerReader(path, warn, "read");
  requireRecords({ ...context, ledger: reader });
  const end = reader.position();
  const entries = reader.since(sinceMs, end, flags.job);
  if (entries.length === 0 && !flags.follow) explainNone(flags, sinceMs);
  if (!print(entries, flags) || !flags.follow) return 0;
  await follow(reader, end, Math.max(sinceMs, ...entries.map(({ atMs }) => atMs)), flags);
  return 0;
}

/** Returns the time of the first event that is printed without `--since`. */
function firstMs({ follow, job }: EventsFlags, nowMs: number): number {
  if (job !== undefined) return 0;
  return follow ? nowMs : nowMs - DAY_MS;
}

function explainNone({ since, job }: EventsFlags, sinceMs: number): void {
  if (job !== undefined)
    warn(`no event of a job ${job} is recorded${since === undefined ? "" : " since then"}`);
  else if (since !== undefined) warn(`no event is recorded since ${formatTimeOfDay(sinceMs, "local")}`);
  else warn("no event is recorded in the last 24 hours; for earlier ones: ffrtmp events --since 30d");
}

/** Prints each later event, until stdout accepts no more. */
async function follow(
  first: LedgerReader,
  start: LogPosition,
  readMs: number,
  flags: EventsFlags,
): Promise<void> {
  const { path } = first;
  let [reader, inode, position, lastMs] = [first, inodeOf(path), start, readMs];
  const closed = Promise.withResolvers<void>();
  const read = () => {
    // A damaged ledger is set aside, and another file is the ledger then.
    const isOther = inodeOf(path) !== inode;
    if (isOther && isMissing(path)) return;
    if (isOther) [reader, inode] = [new LedgerReader(path, warn, "read"), inodeOf(path)];
    const end = reader.position();
    const entries = isOther
      ? reader.since(lastMs + 1, end, flags.job)
      : reader.between(position, end, lastMs, flags.job);
    position = end;
    lastMs = Math.max(lastMs, ...entries.map(({ atMs }) => atMs));
    if (!print(entries, flags)) closed.resolve();
  };
  const watch = watchLedgerFile(path, read);
  const timer = setInterval(read, watch === undefined ? POLL_INTERVAL_MS : CHECK_INTERVAL_MS);
  await closed.promise;
  clearInterval(timer);
  watch?.close();
}

/** Returns false when stdout accepts no more. */
function print(entries: LogEntry[], { json, utc }: EventsFlags): boolean {
  const zone = utc ? "utc" : "local";
  const lines = entries.map((entry) =>
    json ? JSON.stringify(logLineJson(entry)) : logLineText(entry, zone),
  );
  return lines.length === 0 || writeOut(`${escapeLines(lines.join("\n"))}\n`);
}
