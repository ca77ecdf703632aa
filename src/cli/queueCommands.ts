import { InvalidArgumentError, Option } from "commander";
import type { CommandDefinition } from "./commandDefinition.ts";
import { addDirOption, poolName } from "./options/fleetOptions.ts";
import { addTimeOptions, parseLabel } from "./options/jobOptions.ts";
import { wholeNumber } from "./options/optionValue.ts";

const SUBMIT_NOTE = `
A job names a template that its node has, and values for it; it contains no
command. The same call can be repeated when its answer was lost: an id is used
once, and a repeated job is not run a second time.

Each line of FILE is a job, such as
  {"id": "movie-7", "params": {"input": "https://cdn.example/7.mp4"}}
with the keys template, pool, attempts, rerun, not_before, expires and labels
where they differ from the options.`;

/** The commands by which an operator hands out jobs. */
export const QUEUE_COMMANDS: Record<string, CommandDefinition> = {
  submit: {
    description: "sign a job, and put it into the queue of a pool, whose nodes may claim it",
    define: (command) =>
      addDirOption(command)
        .argument("[template]", "name of a template that the nodes have")
        .option("--pool <pool>", "let the nodes of this pool claim it", poolName)
        .option("--param <name=value>", "set a parameter of the template; repeatable", parseParam)
        .option("--id <id>", "set the id of the job (default: generated)", poolName)
        .option("--attempts <n>", "allow this many attempts (default: 1)", wholeNumber(1, 20))
        .addOption(
          new Option(
            "--rerun <when>",
            "offer the next attempt when one is lost, or leave that to an operator (default: never)",
          ).choices(["never", "if_lost"]),
        )
        .option("--not-before <time>", "let it be claimed from then on: 2026-11-28T22:00:00Z, or +2h")
        .option("--expires <time>", "let it be claimed for this long (default: 24h)")
        .option("--label <name=value>", "give the job a label; repeatable", parseLabel)
        .option("--from <file>", "submit a job for each line of this file, or of stdin (-)")
        .option(
          "--key <file>",
          "sign with the key in this file (default: jobs.nk beside the keys of the fleet)",
        )
        .option("--json", "print JSON")
        .addHelpText("after", SUBMIT_NOTE),
    load: async () => (await import("./commands/fleet/submit.ts")).submit,
  },
  queue: {
    description: "list the jobs that were submitted: those that wait, run or are lost",
    define: (command) =>
      addTimeOptions(addDirOption(command))
        .argument("[job]", "show only this job, in whatever state it is")
        .option("--all", "list the jobs that have ended, expired or were cancelled too")
        .option("--pool <pool>", "list only the jobs of this pool")
        .option("--since <time>", "only jobs that were submitted or claimed then or later (default: 7d)")
        .option("--no-trunc", "on a terminal, show all columns and whole reasons")
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/fleet/queue.ts")).queue,
  },
  cancel: {
    description: "withdraw a job that no node has claimed; a job that runs is not ended",
    define: (command) => addDirOption(command).argument("<job>", "id of the job"),
    load: async () => (await import("./commands/fleet/intervene.ts")).cancelJob,
  },
  lost: {
    description: "state that the jobs of a node are lost, because the machine is gone",
    define: (command) =>
      addDirOption(command)
        .argument("<node>", "name of the node")
        .option("--job <job>", "state only that this job is lost")
        .option("--why <text>", "record this reason (default: the node is gone)")
        .option("--even-if-up", "state it although the node is up")
        .option("--yes", "state it; without this, only list the jobs"),
    load: async () => (await import("./commands/fleet/intervene.ts")).lost,
  },
  restore: {
    description:
      "restore a hub from a backup without running jobs twice; without an option, list the nodes that are back",
    define: (command) =>
      addTimeOptions(addDirOption(command))
        .addOption(
          new Option(
            "--begin",
            "close the queues, before the hub with the data of the backup is started",
          ).conflicts(["finish", "json"]),
        )
        .option("--finish", "open the queues, if all nodes have sent their claims again")
        .option("--yes", "with --finish, open them although some have not")
        .option("--no-trunc", "on a terminal, show whole reasons")
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/fleet/restore.ts")).restore,
  },
  requeue: {
    description: "offer the next attempt of a job, or a job that is missing in the queue",
    define: (command) =>
      addDirOption(command)
        .argument("<job>", "id of the job")
        .option("--lost", "state that the attempt which a node has claimed is lost")
        .option("--why <text>", "with --lost, record this reason (default: the node is gone)"),
    load: async () => (await import("./commands/fleet/intervene.ts")).requeueJob,
  },
};

/** Adds `name=value` to the parameters that were given before. Values have any text: templates check them. */
function parseParam(text: string, earlier: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected: a name, = and a value, such as input=movie.mp4.");
  return { ...earlier, [text.slice(0, at)]: text.slice(at + 1) };
}
