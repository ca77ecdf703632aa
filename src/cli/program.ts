import { Command, Option } from "commander";
import { version } from "../../package.json";
import type { EventChoice } from "../linux/events/bestEvents.ts";
import { parseScanInterval, SCAN_INTERVAL } from "../policy/scanInterval.ts";
import { addJobOptions, addPlacementOption, addStateOption } from "./options/jobOptions.ts";
import { addLimitOptions } from "./options/limitOptions.ts";
import { optionValue, parseCommandName, parsePid, size, wholeNumber } from "./options/optionValue.ts";
import { printErr, printOut } from "./output/messages.ts";

const USUAL_EVENT_BUFFER_BYTES = 8 * 1024 * 1024;
const LEAST_EVENT_BUFFER_BYTES = 4096;

// biome-ignore lint/suspicious/noExplicitAny: commander hands over arguments and options by position
type Handler = (...args: any[]) => Promise<number> | number;

type CommandDefinition = { description: string } & (
  | {
      /** Adds arguments and options. */
      define(command: Command): Command;
      /** Loads the command's code: `run` is on somebody's launch path, and pays only for itself. */
      load(): Promise<Handler>;
    }
  | { subcommands: Record<string, CommandDefinition> }
);

const COMMANDS: Record<string, CommandDefinition> = {
  run: {
    description: "start CMD in its own session and cgroup, wait, pass its exit code on",
    define: (command) =>
      addJobOptions(command)
        .argument("<cmd...>", "the command and its arguments, behind --")
        .option("-w, --workdir <dir>", "directory to start CMD in")
        .option("-d, --detach", "print the job id and return; output goes to a file, see: ffrtmp logs JOB")
        .addOption(new Option("--report-start <fd>").hideHelp().argParser(wholeNumber(3, 1023)))
        .passThroughOptions(),
    load: async () => (await import("./commands/run.ts")).run,
  },
  attach: {
    description: "govern a running process and its descendants, observe until it ends",
    define: (command) =>
      addPlacementOption(addJobOptions(command)).requiredOption("-p, --pid <pid>", "the process", parsePid),
    load: async () => (await import("./commands/attach.ts")).attach,
  },
  detach: {
    description: "release a job: everything is put back as it was, nothing of ours stays",
    define: (command) => addStateOption(command).argument("<job>", "job id"),
    load: async () => (await import("./commands/detach.ts")).detach,
  },
  watch: {
    description: "find workloads, govern and observe them, for ever",
    define: (command) =>
      addPlacementOption(addStateOption(addLimitOptions(command)))
        .addOption(
          new Option(
            "--scan-interval <time>",
            "time between two looks at all processes (default: the policy's, or 5s)",
          ).argParser(optionValue(SCAN_INTERVAL, parseScanInterval)),
        )
        .option(
          "--watch-config <file>",
          "policy: what to govern and how (default: /etc/ffrtmp/policy.yaml, when there are neither targets nor limits here)",
        )
        .option(
          "--target <name>",
          "command to govern; repeatable (default: ffmpeg, gst-launch-1.0)",
          collectNames,
        )
        .addOption(
          new Option(
            "--events <source>",
            "polling: look at the scan interval only, ask the kernel for nothing",
          )
            .choices(["auto", "polling"] satisfies EventChoice[])
            .default("auto"),
        )
        .addOption(
          new Option("--event-buffer <size>", "room for process events that wait to be read")
            .argParser(size(LEAST_EVENT_BUFFER_BYTES))
            .default(USUAL_EVENT_BUFFER_BYTES, "8M"),
        )
        .option("--once", "look once, govern what is found, return")
        .option("--dry-run", "say what would be governed, touch nothing")
        .addOption(new Option("--enable-state", "always on; accepted for those who switch").hideHelp())
        .addOption(new Option("--enable-retry", "always on; accepted for those who switch").hideHelp()),
    load: async () => (await import("./commands/watch.ts")).watch,
  },
  limits: {
    description: "change the limits of a living job by hand, and take that back",
    subcommands: {
      set: {
        description: "set limits of a job; they hold against its policy until they are reset",
        define: (command) =>
          addStateOption(addLimitOptions(command)).argument("<job>", "job id").option("--json", "print JSON"),
        load: async () => (await import("./commands/limits.ts")).setLimits,
      },
      reset: {
        description: "take back all that was set by hand",
        define: (command) =>
          addStateOption(command).argument("<job>", "job id").option("--json", "print JSON"),
        load: async () => (await import("./commands/limits.ts")).resetLimits,
      },
    },
  },
  ps: {
    description: "what is governed now",
    define: (command) =>
      addStateOption(command)
        .option("--daemon", "the watch instead: which events it was told, which were lost")
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/ps.ts")).ps,
  },
  inspect: {
    description: "all of one job",
    define: (command) => addStateOption(command).argument("<job>", "job id").option("--json", "print JSON"),
    load: async () => (await import("./commands/inspect.ts")).inspect,
  },
  logs: {
    description: "what a job started with run --detach wrote",
    define: (command) =>
      addStateOption(command).argument("<job>", "job id").option("-f, --follow", "go on until the job ends"),
    load: async () => (await import("./commands/logs.ts")).logs,
  },
  history: {
    description: "what ended how",
    define: (command) =>
      addStateOption(command)
        .option("-n, --limit <n>", "how many, latest first", wholeNumber(1, 1_000_000), 50)
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/history.ts")).history,
  },
  policy: {
    description: "check a policy file, explain what it makes of a process",
    subcommands: {
      check: {
        description: "everything that is wrong in a policy file, and what would be right",
        define: (command) =>
          command
            .argument("[file]", "the policy file (default: /etc/ffrtmp/policy.yaml)")
            .option("--json", "print JSON"),
        load: async () => (await import("./commands/policyCheck.ts")).checkPolicy,
      },
      explain: {
        description: "which rule matches a process, why the others do not, and what would be written where",
        define: (command) =>
          addStateOption(command)
            .addOption(new Option("-p, --pid <pid>", "the process").argParser(parsePid).conflicts("all"))
            .option("--all", "every process, one line each")
            .option("--watch-config <file>", "the policy file (default: /etc/ffrtmp/policy.yaml)")
            .option("--json", "print JSON"),
        load: async () => (await import("./commands/policyExplain.ts")).explainPolicy,
      },
    },
  },
  doctor: {
    description: "what this machine allows, and what each missing thing costs",
    define: (command) => addStateOption(command).option("--json", "print JSON"),
    load: async () => (await import("./commands/doctor.ts")).doctor,
  },
};

/** Parses the command line, does what it says and returns the exit code. Throws CommanderError and Refusal. */
export async function runProgram(argv: string[]): Promise<number> {
  let exitCode = 0;
  const program = createProgram();
  const named = argv[2] === "help" ? argv[3] : argv[2];
  // The others are there for the overview and for guessing what was meant: a call would build them for nothing.
  const isCall = argv[2] !== undefined && Object.hasOwn(COMMANDS, argv[2]);
  for (const [name, definition] of Object.entries(COMMANDS)) {
    if (isCall && name !== named) continue;
    const command = program.command(name).description(definition.description);
    if (name !== named) continue;
    defineCommand(command, name, definition, async (load, args) => {
      const handler = await load();
      exitCode = await handler(...args);
    });
  }
  await program.parseAsync(argv);
  return exitCode;
}

type Act = (load: () => Promise<Handler>, args: unknown[]) => Promise<void>;

/** Gives a command its arguments, options and subcommands; `path` is how it is called. */
function defineCommand(command: Command, path: string, definition: CommandDefinition, act: Act): void {
  command.showHelpAfterError(`  try: ffrtmp ${path} --help`);
  if ("subcommands" in definition) {
    for (const [name, each] of Object.entries(definition.subcommands)) {
      defineCommand(command.command(name).description(each.description), `${path} ${name}`, each, act);
    }
  } else definition.define(command).action((...args: unknown[]) => act(definition.load, args));
}

/** Every command with all its options: what manuals and completions are made from. A call builds its own command alone. */
export function describeProgram(): Command {
  const program = createProgram();
  for (const [name, definition] of Object.entries(COMMANDS)) {
    const command = program.command(name).description(definition.description);
    defineCommand(command, name, definition, async () => {});
  }
  return program;
}

function createProgram(): Command {
  return new Command("ffrtmp")
    .description("Governs FFmpeg and other long-running workloads without owning them.")
    .version(version, "-V, --version")
    .showHelpAfterError("  try: ffrtmp --help")
    .configureOutput({
      writeOut: (text) => printOut(text.trimEnd()),
      writeErr: (text) => printErr(text.trimEnd()),
      // Behind `run` our stderr is the workload's too: who speaks must be told.
      outputError: (text, write) => write(text.replace(/^error: /, "ffrtmp: ")),
    })
    .enablePositionalOptions()
    .exitOverride();
}

function collectNames(text: string, earlier: string[] = []): string[] {
  return [...earlier, parseCommandName(text)];
}
