import { Command, Option } from "commander";
import { version } from "../../package.json";
import type { SchedulingChoice } from "../daemon/daemonScheduling.ts";
import type { LogLevel } from "../daemon/logLevel.ts";
import type { EventChoice } from "../linux/events/bestEvents.ts";
import { MAX_AGE, MAX_SIZE, parseMaxAge, parseMaxSize } from "../policy/retentionValues.ts";
import { parseScanInterval, SCAN_INTERVAL } from "../policy/scanInterval.ts";
import type { CommandDefinition, Handler } from "./commandDefinition.ts";
import { FLEET_COMMANDS } from "./fleetCommands.ts";
import {
  addJobArgument,
  addJobOptions,
  addJobsArgument,
  addOnceOption,
  addOnOption,
  addPlacementOption,
  addSpecOptions,
  addStateOption,
  addTimeOptions,
} from "./options/jobOptions.ts";
import { addLimitOptions } from "./options/limitOptions.ts";
import {
  optionValue,
  parseCommandNames,
  parsePid,
  parseStatsInterval,
  size,
  wholeNumber,
} from "./options/optionValue.ts";
import type { JobOrder } from "./output/jobTable.ts";
import { printErr, printOut } from "./output/messages.ts";
import type { Order } from "./top/state.ts";

const RUN_NOTE = `
Ctrl-C, SIGTERM and SIGHUP end the wait, never CMD, which keeps running under
its limits. To wait again: ffrtmp attach --job JOB. CMD has a process group of
its own, so this stops all of it: kill -- -PID`;

const EXEC_NOTE = `
Nothing waits: ffrtmp applies the limits to itself, records the job, and becomes
CMD with the same PID. Signals, the exit code and the end of CMD are the
caller's. ffrtmp watch records how it ended; without a watch, only that it did.`;

const TOP_NOTE = `
Keys: s sort, / filter, t tenants, Enter one job, c its command line, l its log,
p pause, ? help with the meaning of the columns, q quit.
Where ffrtmp watch runs, and this user may ask it, its measurements are shown.
NO_COLOR=1 shows no colors, and a locale without UTF-8 (LANG=C) only ASCII.`;

const CAPACITY_NOTE = `
Jobs with the intent batch or best-effort do not count: they can wait. The
answer is advice, and the exit code is 0 whatever it is. It needs samples of
ffrtmp watch.`;

const COMMANDS: Record<string, CommandDefinition> = {
  run: {
    description: "start CMD in its own session and cgroup, wait for it, and pass its exit code on",
    define: (command) =>
      addOnceOption(addJobOptions(command))
        .argument("<cmd...>", "the command and its arguments, after --")
        .option("-w, --workdir <dir>", "start CMD in this directory")
        .option(
          "-d, --detach",
          "run in the background: print the job id, write the output to a file (see: ffrtmp logs)",
        )
        .option(
          "--result-file <path>",
          "write the result as JSON to this file when the job ends, also if CMD cannot be started",
        )
        .option(
          "--progress",
          "let ffmpeg write its progress to a file that ffrtmp reads: inserts -progress FILE, unless CMD has it",
        )
        .addOption(reportStartOption())
        .addHelpText("after", RUN_NOTE)
        .passThroughOptions(),
    load: async () => (await import("./commands/run.ts")).run,
  },
  exec: {
    description: "become CMD, under limits: for the job of a scheduler, which keeps its own child",
    define: (command) =>
      addOnceOption(addPlacementOption(addSpecOptions(command)))
        .argument("<cmd...>", "the command and its arguments, after --")
        .option("-w, --workdir <dir>", "start CMD in this directory")
        .addHelpText("after", EXEC_NOTE)
        .passThroughOptions(),
    load: async () => (await import("./commands/exec.ts")).exec,
  },
  attach: {
    description: "govern a running process and its descendants, and wait until it ends",
    define: (command) =>
      addPlacementOption(addJobOptions(command))
        .addOption(
          new Option(
            "-p, --pid <pid>",
            "govern the process with this PID; a job whose observer is gone is taken over",
          )
            .argParser(parsePid)
            .conflicts("job"),
        )
        .option("--job <job>", "take over a job whose observer is gone, under its own id and limits")
        .option("-d, --detach", "govern in the background: print the job id and return")
        .option("--policy", "let the policy decide again about a process that was detached by hand")
        .addOption(reportStartOption()),
    load: async () => (await import("./commands/attach.ts")).attach,
  },
  detach: {
    description: "stop governing a job, and restore everything that was changed for it",
    define: (command) => addJobArgument(command).option("--json", "print the result of the job as JSON"),
    load: async () => (await import("./commands/detach.ts")).detach,
  },
  watch: {
    description: "find workloads, govern them and record how they end, until stopped",
    define: (command) =>
      addPlacementOption(addStateOption(addLimitOptions(command)))
        .option(
          "--scan-interval <time>",
          "set the interval between full process scans (default: from the policy, or 5s)",
          optionValue(SCAN_INTERVAL, parseScanInterval),
        )
        .option(
          "--watch-config <file>",
          "read the policy from this file (default: /etc/ffrtmp/policy.yaml, unless targets or limits are given)",
        )
        .option(
          "--target <name>",
          "govern processes of this command; repeatable, or several with commas (default: ffmpeg, gst-launch-1.0)",
          (text: string, earlier: string[] = []) => [...earlier, ...parseCommandNames(text)],
        )
        .addOption(
          new Option(
            "--events <source>",
            "select how to notice new processes; polling: only by scans, without kernel events",
          )
            .choices(["auto", "polling"] satisfies EventChoice[])
            .default("auto"),
        )
        .addOption(
          new Option("--event-buffer <size>", "set the size of the kernel's buffer for process events")
            .argParser(size(4096))
            .default(8 * 1024 ** 2, "8M"),
        )
        .option(
          "--retention-max-age <time>",
          "delete jobs that ended longer ago (default: from the policy, or 90d)",
          optionValue(MAX_AGE, (text) => parseMaxAge(text)),
        )
        .option(
          "--retention-max-size <size>",
          "delete the oldest jobs while the ledger and the logs take more (default: from the policy, or 1GiB)",
          optionValue(MAX_SIZE, (text) => parseMaxSize(text)),
        )
        .addOption(
          new Option("--log-level <level>", "log events up to this level")
            .choices(["error", "warn", "info", "debug"] satisfies LogLevel[])
            .default("info" satisfies LogLevel)
            .env("FFRTMP_LOG_LEVEL"),
        )
        .option(
          "--listen <address>",
          "serve metrics for Prometheus at /metrics and a JSON API at /api/v1 of this address, such as 127.0.0.1:9797",
        )
        .option(
          "--token-file <file>",
          "answer only HTTP requests with the token in this file: Authorization: Bearer TOKEN",
        )
        .option(
          "--metrics-max-jobs <n>",
          "export this many jobs one by one, and the others as a sum (default: 500)",
          wholeNumber(0, 100_000),
        )
        .option("--tls-cert <file>", "encrypt with the certificate in this file (PEM, with its chain)")
        .option("--tls-key <file>", "the private key of --tls-cert (PEM)")
        .addOption(
          new Option(
            "--scheduling <policy>",
            "realtime: govern new processes ahead of busy programs; unchanged: as watch was started",
          )
            .choices(["realtime", "unchanged"] satisfies SchedulingChoice[])
            .default("realtime" satisfies SchedulingChoice),
        )
        .option("--no-probe", "do not run ffprobe for the length of the files that jobs read")
        .option("--json", "log events as JSON, one object on each line of stdout; with --dry-run, print JSON")
        .option("--once", "scan once, govern what is found, and exit")
        .option("--dry-run", "print what would be governed, and change nothing")
        .addOption(withoutEffect("--enable-state [bool]", "state is always kept"))
        .addOption(withoutEffect("--state-flush-interval <time>", "each change is written at once"))
        .addOption(withoutEffect("--enable-retry [bool]", "processes are always tried again"))
        .addOption(withoutEffect("--max-retry-attempts <n>", "the number of attempts has no limit")),
    load: async () => (await import("./commands/watch.ts")).watch,
  },
  limits: {
    description: "set limits of running jobs by hand, or reset them",
    subcommands: {
      set: {
        description: "set limits, which override the policy until they are reset",
        define: (command) =>
          addJobsArgument(addLimitOptions(command, { lifts: true })).option("--json", "print JSON"),
        load: async () => (await import("./commands/limits.ts")).setLimits,
      },
      reset: {
        description: "remove all limits that were set by hand",
        define: (command) => addJobsArgument(command).option("--json", "print JSON"),
        load: async () => (await import("./commands/limits.ts")).resetLimits,
      },
    },
  },
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
    description: "show on the whole terminal what jobs use and what holds them back, again each second",
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
  policy: {
    description: "check a policy file, or explain its decision about a process",
    subcommands: {
      check: {
        description: "list all errors and likely mistakes in a policy file, each with the expected value",
        define: (command) =>
          command
            .argument("[file]", "policy file (default: /etc/ffrtmp/policy.yaml)")
            .option("--strict", "exit with 2 for a valid file with warnings too")
            .option("--json", "print JSON"),
        load: async () => (await import("./commands/policyCheck.ts")).checkPolicy,
      },
      explain: {
        description: "show which rule matches a process, why the others do not, and what would be changed",
        define: (command) =>
          addStateOption(command)
            .addOption(
              new Option("-p, --pid <pid>", "explain the decision about this process")
                .argParser(parsePid)
                .conflicts("all"),
            )
            .option("--all", "list the decisions about all processes, one line each")
            .addOption(
              new Option(
                "--file <file>",
                "read the policy from this file (default: /etc/ffrtmp/policy.yaml)",
              ).conflicts("watchConfig"),
            )
            .option("--watch-config <file>", "the same as --file, as for ffrtmp watch")
            .option("--json", "print JSON"),
        load: async () => (await import("./commands/policyExplain.ts")).explainPolicy,
      },
    },
  },
  fleet: {
    description: "see and set up many machines, by a hub that runs nats-server",
    subcommands: FLEET_COMMANDS,
  },
  "run-hooks": {
    description: "run the commands of on_end, for ffrtmp watch",
    isHidden: true,
    define: (command) => command.argument("<tag>"),
    load: async () => (await import("../daemon/hookRunner.ts")).runHooks,
  },
  meter: {
    description: "measure network, media time and GPUs of jobs, for ffrtmp watch",
    isHidden: true,
    define: (command) => command.option("--no-probe", "do not run ffprobe"),
    load: async () => (await import("../daemon/meter/meter.ts")).runMeter,
  },
  doctor: {
    description: "test what this machine allows, and show the consequence of each missing feature",
    define: (command) => addStateOption(command).option("--json", "print JSON"),
    load: async () => (await import("./commands/doctor.ts")).doctor,
  },
};

function sortOption(): Option {
  const help = "sort amounts from the largest, and names from a to z";
  const orders = ["cpu", "memory", "since", "job", "tenant", "user"] satisfies JobOrder[];
  return new Option("--sort <order>", help).choices(orders);
}

/** An option of the older tool, for command lines and units that name it. */
function withoutEffect(flags: string, because: string): Option {
  return new Option(flags, because).helpGroup("Accepted for compatibility, without effect:");
}

/** The descriptor to which a copy in the background reports its start. */
function reportStartOption(): Option {
  return new Option("--report-start <fd>").hideHelp().argParser(wholeNumber(3, 1023));
}

/** Parses the command line, runs the command and returns its exit code. Throws CommanderError and Refusal. */
export async function runProgram(argv: string[]): Promise<number> {
  let exitCode = 0;
  const faults: string[] = [];
  const program = createProgram(faults);
  const named = argv[2] === "help" ? argv[3] : argv[2];
  // The other commands are needed only for the overview and for suggestions, so a call does not build them.
  const isCall = argv[2] !== undefined && Object.hasOwn(COMMANDS, argv[2]);
  for (const [name, definition] of Object.entries(COMMANDS)) {
    if (name !== named && (isCall || definition.isHidden)) continue;
    const command = program.command(name).description(definition.description);
    if (name !== named) continue;
    defineCommand(command, name, definition, (code) => {
      exitCode = code;
    });
  }
  try {
    await program.parseAsync(argv);
  } finally {
    if (faults.length > 0) await printFaults(faults);
  }
  return exitCode;
}

/** Loads what only faults need: it would delay the workloads of `run`. A fault repeats arguments. */
async function printFaults(faults: readonly string[]): Promise<void> {
  const [{ explainFault }, { maskText }] = await Promise.all([
    import("./options/otherTools.ts"),
    import("../jobs/model/secrets.ts"),
  ]);
  printErr(maskText(faults.map(explainFault).join("").trimEnd()));
}

/** Returns all commands with all their options, from which manuals and completions are generated. */
export function describeProgram(): Command {
  const program = createProgram();
  for (const [name, definition] of Object.entries(COMMANDS)) {
    if (definition.isHidden) continue;
    defineCommand(program.command(name), name, definition);
  }
  return program;
}

/** Gives a command its arguments, options and subcommands. `path` is the full name of the command. */
function defineCommand(
  command: Command,
  path: string,
  definition: CommandDefinition,
  onExit: (code: number) => void = () => {},
): void {
  command.description(definition.description).showHelpAfterError(`  try: ffrtmp ${path} --help`);
  if ("subcommands" in definition) {
    for (const [name, each] of Object.entries(definition.subcommands)) {
      defineCommand(command.command(name), `${path} ${name}`, each, onExit);
    }
    return;
  }
  definition.define(command).action(async (...args: unknown[]) => {
    const { on } = command.opts<{ on?: string }>();
    const handler = on === undefined ? await definition.load() : await loadRemote(path, on, command);
    try {
      onExit(await handler(...args));
    } catch (error) {
      throw isExplained(error) ? await error.explain() : error;
    }
  });
}

/** Returns a handler that runs the command on the machines that `--on` names. */
async function loadRemote(name: string, on: string, command: Command): Promise<Handler> {
  if (name === "top") {
    const { topOnHosts } = await import("./commands/topOnHosts.ts");
    return () => topOnHosts(command.opts());
  }
  const { runOnHosts } = await import("./remote/remoteCommand.ts");
  return () => runOnHosts(name, process.argv.slice(3), { ...command.opts(), on });
}

/** Returns true for a failure that is explained by code which is loaded for it alone. */
function isExplained(error: unknown): error is { explain(): Promise<Error> } {
  return error instanceof Error && "explain" in error && typeof error.explain === "function";
}

/** Collects the lines of a fault in `faults`, for the caller to print. */
function createProgram(faults: string[] = []): Command {
  return new Command("ffrtmp")
    .description("Limit, measure and record FFmpeg and other long-running processes without owning them.")
    .version(version, "-V, --version", "print the version")
    .showHelpAfterError("  try: ffrtmp --help")
    .configureOutput({
      writeOut: (text) => printOut(text.trimEnd()),
      writeErr(text) {
        if (faults.length === 0) printErr(text.trimEnd());
        else faults.push(text);
      },
      // The workload of `run` writes to the same stderr, so every message names its author.
      outputError: (text) => void faults.push(text.replace(/^error: /, "ffrtmp: ")),
    })
    .enablePositionalOptions()
    .exitOverride();
}
