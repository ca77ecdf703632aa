import type { GovernedElsewhere } from "../jobs/attach/attach.ts";
import type { Context } from "../jobs/context.ts";
import { Refusal } from "../jobs/errors.ts";
import { findForeignJob, findForeignJobs } from "../jobs/recovery/foreignJobs.ts";
import { describePlace } from "../ledger/places.ts";
import { commandFor, describeMissing, describeOthers, ownerText } from "./output/emptyState.ts";

/** Returns the refusal for a job that is not recorded: where it runs, or why nothing is recorded here. */
export function explainUnknownJob(context: Context, name: string, plain: Refusal): Refusal {
  const elsewhere = findForeignJobs(context).find(
    (job) => job.jobId === name || job.pids.includes(Number(name)),
  );
  if (elsewhere !== undefined) {
    const { jobId, directory, path } = elsewhere;
    const place = directory ?? `whose place is not known: its cgroup is ${path}`;
    const found = jobId === name ? "A job with that id is" : `It is in job ${jobId}, which is`;
    const message = `${plain.message}. ${found} governed by another state directory, ${place}`;
    return new Refusal(message, directory ? commandFor(directory, `inspect ${jobId}`) : plain.hint);
  }
  if (!context.ledger.isMissing) return plain;
  const { directory } = context.state;
  const others = describeOthers(directory, "ps");
  const reasons = [describeMissing(directory), ...others.map(({ text }) => text)].join("; ");
  const hint = others.find(({ command }) => command !== undefined)?.command;
  return new Refusal(`${plain.message}: ${reasons}`, hint ?? plain.hint);
}

/** Returns the refusal for a process that another state directory governs, with the place of that directory. */
export function describeGovernor(context: Context, { message, hint, cgroup }: GovernedElsewhere): Refusal {
  const job = findForeignJob(context, cgroup);
  if (job === undefined) return new Refusal(message, hint);
  const { jobId, directory } = job;
  const place = directory === undefined ? "another state directory, whose place is not known" : directory;
  const detach = directory === undefined ? hint : commandFor(directory, `detach ${jobId}`);
  return new Refusal(`${message}, as job ${jobId} of ${place}`, detach);
}

/** Returns the refusal for a ledger that this user may not read: whose it is, and by which command that user reads it. */
export function explainUnreadable({ state }: Pick<Context, "state">, plain: Refusal): Refusal {
  const place = describePlace(state.directory);
  const isRefused = place.kind === "hidden" || place.kind === "unreadable";
  if (!isRefused || place.uid === undefined || place.uid === process.geteuid?.()) return plain;
  const owner = plain.message.includes("belongs to") ? "" : `, ${ownerText(place)}`;
  return new Refusal(plain.message + owner, commandFor(state.directory, presentCommand(), place));
}

/** Returns the words of the command line, without the state directory that they name. */
function presentCommand(): string {
  const words = process.argv.slice(2);
  const isOption = (word: string | undefined) => word === "--state-path";
  return words
    .filter(
      (word, index) => !isOption(word) && !isOption(words[index - 1]) && !word.startsWith("--state-path="),
    )
    .join(" ");
}
