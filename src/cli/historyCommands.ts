import { Option } from "commander";
import { parseMaxAge, parseMaxSize } from "../policy/retentionValues.ts";
import type { CommandDefinition } from "./commandDefinition.ts";
import { addOnOption, addStateOption, addTimeOptions } from "./options/jobOptions.ts";
import { optionValue, wholeNumber } from "./options/optionValue.ts";

/** Commands that list what has happened, or delete its record. */
export const HISTORY_COMMANDS: Record<string, CommandDefinition> = {
  events: {
    description: "list what happened to jobs and to ffrtmp watch, one line for each event, oldest first",
    define: (command) =>
      addStateOption(command)
        .option(
          "--since <time>",
          "start at this time: 2h for two hours ago, or 2026-11-26T21:00 (default: 24h; with --follow: now)",
        )
        .option("-f, --follow", "keep printing new events until interrupted")
        .option("--job <job>", "only the events of jobs with this id, from the first one on")
        .option("--utc", "show times in UTC instead of local time")
        .option("--json", "print JSON, one line for each event"),
    load: async () => (await import("./commands/events.ts")).events,
  },
  history: {
    description: "list finished jobs",
    define: (command) =>
      addTimeOptions(
        addOnOption(addStateOption(command))
          .argument("[job]", "show only the jobs that had this id")
          .option(
            "--since <time>",
            "show only jobs that ended then or later: a local time, or how long ago, such as 2h",
          )
          .option("--until <time>", "show only jobs that ended earlier")
          .option("--failed", "show only jobs whose outcome is failed or killed, and not unknown")
          .addOption(
            new Option("--violations", "show only jobs for which the platform did not do its part").conflicts(
              "sla",
            ),
          )
          .option("--tenant <name>", "show only jobs of this tenant")
          .option(
            "-n, --limit <n>",
            "show at most this many jobs, latest first (default: 50)",
            wholeNumber(1, 1_000_000),
          )
          .addOption(
            new Option(
              "--sla",
              "show instead how many of the jobs with --sla-eligible were compliant, overall and for each tenant (default: in the last 24 hours)",
            ).conflicts(["failed", "limit"]),
          )
          .option("--no-trunc", "on a terminal, show all columns and whole reasons")
          .option("--json", "print JSON"),
      ),
    load: async () => (await import("./commands/history.ts")).history,
  },
  prune: {
    description: "delete old history: jobs that ended, with their results, events and logs",
    define: (command) =>
      addStateOption(command)
        .option(
          "--older-than <time>",
          "delete jobs that ended longer ago (default: as ffrtmp watch does, or 90d)",
          optionValue("a time such as 30d, or unlimited", (text) => parseMaxAge(text, 0)),
        )
        .option(
          "--max-size <size>",
          "delete the oldest jobs while the ledger and the logs take more (default: as ffrtmp watch does, or 1GiB)",
          optionValue("a size such as 500MiB, or unlimited", (text) => parseMaxSize(text, 0)),
        )
        .option("--dry-run", "print what would be deleted, and change nothing")
        .option(
          "--compact",
          "return all free space to the file system; other ffrtmp processes wait, 10 ms for each MiB in use",
        )
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/prune.ts")).pruneHistory,
  },
};
