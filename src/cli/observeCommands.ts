import { Option } from "commander";
import type { CommandDefinition } from "./commandDefinition.ts";
import { addJobArgument, addOnOption, addStateOption } from "./options/jobOptions.ts";
import { parseStatsInterval, wholeNumber } from "./options/optionValue.ts";
import type { JobOrder } from "./output/jobTable.ts";
import type { Order } from "./top/state.ts";

const TOP_NOTE = `
Keys: s sort, / filter, t tenants, Enter one job, c its command line, l its log,
p pause, ? help with the meaning of the columns, q quit.
Where ffrtmp watch runs, and this user may ask it, its measurements are shown.
NO_COLOR=1 shows no colors, and a locale without UTF-8 (LANG=C) only ASCII.`;

const CAPACITY_NOTE = `
Jobs with the intent batch or best-effort do not count: they can wait. The
answer is advice, and the exit code is 0 whatever it is. It needs samples of
ffrtmp watch.`;

/** Commands that show jobs as they are now, or wait for them, and change nothing. */
export const OBSERVE_COMMANDS: Record<string, CommandDefinition> = {
  ps: {
    description: "list governed jobs, with the CPU and memory that they use now",
    define: (command) =>
      addOnOption(addStateOption(command))
        .option("-a, --all", "list ended jobs too, with their outcome")
        .option(
          "-n, --limit <n>",
          "list at most this many ended jobs, latest first",
          wholeNumber(1, 1_000_000),
          20,
        )
        .option(
          "-f, --filter <key=value>",
          "list only jobs with this state, tenant, user, mode, command, label or outcome; repeatable, and all must match",
          (text: string, earlier: string[] = []) => [...earlier, text],
        )
        .addOption(sortOption())
        .addOption(new Option("-q, --quiet", "print job ids only").conflicts("json"))
        .option("--no-trunc", "on a terminal, show all columns and the whole command")
        .option(
          "--daemon",
          "ask ffrtmp watch for its state instead: events received and lost, errors in its policy",
        )
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/ps.ts")).ps,
  },
  health: {
    description:
      "check ffrtmp watch for a monitoring system: exit code 0 healthy, 1 degraded, 2 unhealthy, 3 unknown",
    define: (command) => addOnOption(addStateOption(command)).option("--json", "print JSON"),
    load: async () => (await import("./commands/health.ts")).health,
  },
  stats: {
    description: "show what jobs and tenants use now: CPU, memory, throttling, disks, network and processes",
    define: (command) =>
      addOnOption(addStateOption(command))
        .argument("[job...]", "job ids, PIDs or patterns of ids (default: all running jobs)")
        .option("--once", "print one table, as in a pipe without --interval, and exit")
        .option(
          "--interval <time>",
          "set the time between two tables, over which the rates are measured (default: 1s)",
          parseStatsInterval,
        )
        .option("--no-probe", "do not run ffprobe to find the lengths of input files")
        .addOption(sortOption())
        .option("--no-trunc", "on a terminal, show all columns and the whole command")
        .option("--json", "print a JSON line for each job, tenant and GPU, again after each interval")
        .option("--machine", "with --json, end each interval with a line for the machine"),
    load: async () => (await import("./commands/stats.ts")).stats,
  },
  top: {
    description: "show on the whole terminal what jobs use and what holds them back, refreshed every second",
    define: (command) =>
      addOnOption(addStateOption(command))
        .option("--once", "print one table, as in a pipe, and exit")
        .addOption(
          new Option(
            "--interval <time>",
            "set the time between two measurements, over which the rates are measured",
          )
            .argParser(parseStatsInterval)
            .default(1000, "1s"),
        )
        .addOption(
          new Option(
            "--sort <order>",
            "sort amounts from the largest, speeds from the slowest, and names from a to z; hindered jobs come first",
          ).choices(["cpu", "memory", "speed", "job", "tenant"] satisfies Order[]),
        )
        .option("--no-probe", "do not run ffprobe to find the lengths of input files")
        .addHelpText("after", TOP_NOTE),
    load: async () => (await import("./commands/top.ts")).top,
  },
  capacity: {
    description: "estimate how many more streams fit on this machine, from what streams have used",
    define: (command) =>
      addStateOption(command)
        .option(
          "--like <name>",
          "streams like this job, running or ended, or like the jobs of this rule (default: like the largest that runs)",
        )
        .option("--json", "print JSON")
        .addHelpText("after", CAPACITY_NOTE),
    load: async () => (await import("./commands/capacity.ts")).capacity,
  },
  inspect: {
    description: "show all details of one job",
    define: (command) =>
      addJobArgument(command)
        .option("--no-probe", "do not run ffprobe to find the lengths of input files")
        .option("--utc", "show times in UTC instead of local time")
        .option(
          "--show-secrets",
          "show secrets in the command, to root and to the job's user (default: as ***)",
        )
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/inspect.ts")).inspect,
  },
  logs: {
    description: "print the output of a job that was started with run --detach",
    define: (command) => addJobArgument(command).option("-f, --follow", "keep printing until the job ends"),
    load: async () => (await import("./commands/logs.ts")).logs,
  },
  wait: {
    description: "wait until jobs have ended, and exit with the code of the last one that is named",
    define: (command) =>
      addStateOption(command)
        .argument("<job...>", "job ids")
        .option("--any", "wait for the first of the jobs, and exit with its code")
        .option("--timeout <time>", "stop waiting after this time, and exit with 124")
        .option("-q, --quiet", "print nothing when a job ends")
        .option("--json", "print the result of each job as JSON, one line each"),
    load: async () => (await import("./commands/wait.ts")).wait,
  },
};

function sortOption(): Option {
  const help = "sort amounts from the largest, and names from a to z";
  const orders = ["cpu", "memory", "since", "job", "tenant", "user"] satisfies JobOrder[];
  return new Option("--sort <order>", help).choices(orders);
}
