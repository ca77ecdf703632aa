import type { Context } from "../../jobs/context.ts";
import { type ForeignJob, findForeignJobs } from "../../jobs/recovery/foreignJobs.ts";
import { locateState, ROOT_STATE } from "../../ledger/location.ts";
import { describePlace, listLikelyOwners, listOwners, type Place } from "../../ledger/places.ts";
import { LedgerReader } from "../../ledger/reader.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { printErr, printError, warn } from "./messages.ts";

/** A list of job ids in a message is cut here. */
const MAX_NAMED = 5;

/** Says on stderr why there is no open job. */
export function explainNoneOpen(context: Context): void {
  // A failure follows, which says why.
  if (context.ledger.unreadableBecause !== undefined) return;
  const { open, ended } = countJobs(context);
  // The jobs are there, and the operator's options leave them out.
  if (open > 0) return;
  if (ended === 0) explainNoRecords(context, "ps");
  else
    warn(
      `no job is running; ${ended === 1 ? "1 has" : `${ended} have`} ended: ${commandHere(context, "history")}`,
    );
}

/** Says on stderr why there is no ended job. */
export function explainNoneEnded(context: Context): void {
  const { open, ended } = countJobs(context);
  if (ended > 0) return;
  if (open === 0) explainNoRecords(context, "history");
  else
    warn(`no job has ended; ${open === 1 ? "1 is" : `${open} are`} running: ${commandHere(context, "ps")}`);
}

/** Returns a command line for the present state directory. */
function commandHere({ state }: Context, command: string): string {
  const isDefault = locateState(undefined, process.env).directory === state.directory;
  return `ffrtmp ${command}${isDefault ? "" : ` --state-path ${state.directory}`}`;
}

function countJobs({ ledger }: Context): { open: number; ended: number } {
  if (ledger.isMissing) return { open: 0, ended: 0 };
  return new LedgerReader(ledger.path, () => {}, "read").countJobs();
}

/** Names on stderr the jobs that run under other state directories. */
export function noteForeignJobs(context: Context): void {
  for (const jobs of Map.groupBy(
    findForeignJobs(context),
    ({ directory, tag }) => directory ?? tag,
  ).values()) {
    const { message, hint } = describeForeign(jobs);
    printError(message, hint);
  }
}

/** Says on stderr that nothing is recorded, and where the operator may have jobs instead. */
export function explainNoRecords({ state }: Context, command: string): void {
  const others = describeOthers(state.directory, command);
  const lines = others.map((other) => (other.command ? `${other.text}; try: ${other.command}` : other.text));
  printErr(`ffrtmp: ${[describeNoRecords(state.directory), ...lines].map(oneLine).join("\n  ")}`);
}

/** `no job has been recorded in /x: there is no state at that place` */
function describeNoRecords(directory: string): string {
  const place = describePlace(directory);
  const reason = place.kind === "readable" ? "" : `: ${describeMissing(directory, place)}`;
  const isMine = place.uid === undefined || place.uid === process.geteuid?.();
  return `no job has been recorded in ${directory}${isMine ? "" : `, ${ownerText(place)}`}${reason}`;
}

/** Returns why nothing can be read at a place. */
export function describeMissing(directory: string, { kind } = describePlace(directory)): string {
  if (kind === "absent") return "there is no state at that place";
  return kind === "empty" ? "the directory has no ledger" : "this user may not read it";
}

/** A place where the operator may have jobs: `root's state is /var/lib/ffrtmp`, and the command that reads it. */
interface OtherPlace {
  text: string;
  command: string | undefined;
}

/** Describes root's state and that of the operator's own user, where they are not the present ones. */
export function describeOthers(directory: string, command: string): OtherPlace[] {
  return listLikelyOwners(directory, process.env).map((owner) => {
    const place = describePlace(owner.directory);
    const whose = owner.name === "you" ? "your own state" : `${owner.name}'s state`;
    switch (place.kind) {
      case "absent":
        return { text: `${whose} would be ${owner.directory}, which does not exist`, command: undefined };
      case "empty":
        return { text: `${whose} is ${owner.directory}, where no job is recorded`, command: undefined };
      default: {
        const refused = process.geteuid?.() === 0 ? ", which root does not read" : ", not readable for you";
        const right = place.kind === "readable" ? "" : refused;
        const text = `${whose} is ${owner.directory}${right}`;
        return { text, command: commandFor(owner.directory, command, place) };
      }
    }
  });
}

/** Returns the command line that reads another state directory, by the user who may. */
export function commandFor(directory: string, command: string, place = describePlace(directory)): string {
  const named = `ffrtmp ${command} --state-path ${directory}`;
  if (place.kind === "readable") return named;
  const owner = place.kind === "hidden" ? ownerOfUsual(directory) : place.uid;
  if (owner === undefined || owner === process.geteuid?.()) return named;
  if (owner !== 0) return `sudo -u ${userName(owner)} ${named}`;
  return directory === ROOT_STATE ? `sudo ffrtmp ${command}` : `sudo ${named}`;
}

/** Describes the jobs of one other state directory, and how to read about them. */
function describeForeign(jobs: ForeignJob[]): { message: string; hint: string | undefined } {
  const [first] = jobs;
  const directory = first?.directory;
  const count = jobs.length === 1 ? "1 job runs" : `${jobs.length} jobs run`;
  const named = jobs.slice(0, MAX_NAMED).map((job) => (directory ? job.jobId : `${job.jobId} (${job.path})`));
  const rest = jobs.length > MAX_NAMED ? ", …" : "";
  const place = directory ?? "whose place is not known";
  return {
    message: `${count} under another state directory, ${place}: ${named.join(", ")}${rest}`,
    hint: directory === undefined ? undefined : commandFor(directory, "ps"),
  };
}

/** Returns the owner of a place: `which belongs to ann (uid 1000)`. */
export function ownerText({ uid }: Place): string {
  return uid === undefined ? "whose owner is not known" : `which belongs to ${userName(uid)} (uid ${uid})`;
}

function ownerOfUsual(directory: string): number | undefined {
  return listOwners().find((owner) => owner.directory === directory)?.uid;
}

function userName(uid: number): string {
  return listOwners().find((owner) => owner.uid === uid)?.name ?? `#${uid}`;
}
