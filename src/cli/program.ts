import { Command } from "commander";
import { version } from "../../package.json";
import type { CommandDefinition, Handler } from "./commandDefinition.ts";
import { FLEET_COMMANDS } from "./fleetCommands.ts";
import { GOVERN_COMMANDS, LIMIT_COMMANDS } from "./governCommands.ts";
import { HISTORY_COMMANDS } from "./historyCommands.ts";
import { OBSERVE_COMMANDS } from "./observeCommands.ts";
import { addStateOption } from "./options/jobOptions.ts";
import { printErr, printOut } from "./output/messages.ts";
import { POLICY_COMMANDS, WATCH_COMMAND, WATCH_HELPERS } from "./watchCommands.ts";

const COMMANDS: Record<string, CommandDefinition> = {
  ...GOVERN_COMMANDS,
  watch: WATCH_COMMAND,
  limits: {
    description: "set limits of running jobs by hand, or reset them",
    subcommands: LIMIT_COMMANDS,
  },
  ...OBSERVE_COMMANDS,
  ...HISTORY_COMMANDS,
  policy: {
    description: "check a policy file, or explain its decision about a process",
    subcommands: POLICY_COMMANDS,
  },
  fleet: {
    description: "set up, observe and control many machines, by a hub that runs nats-server",
    subcommands: FLEET_COMMANDS,
  },
  ...WATCH_HELPERS,
  doctor: {
    description: "test what this machine allows, and show the consequence of each missing feature",
    define: (command) => addStateOption(command).option("--json", "print JSON"),
    load: async () => (await import("./commands/doctor.ts")).doctor,
  },
};

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
  if (definition.group !== undefined) command.helpGroup(definition.group);
  if ("subcommands" in definition) {
    const children = Object.entries(definition.subcommands);
    // Where the others have headings, `help` would stand alone below "Commands:".
    if (children.some(([, { group }]) => group !== undefined))
      command.commandsGroup("Help:").helpCommand(true);
    for (const [name, each] of children) {
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
