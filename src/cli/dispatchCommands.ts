import { type Command, InvalidArgumentError } from "commander";
import { DEFAULT_SLOTS, MAX_SLOTS } from "../fleet/dispatch/slots.ts";
import type { CommandDefinition } from "./commandDefinition.ts";
import { addDirOption, poolNames } from "./options/fleetOptions.ts";
import { addStateOption } from "./options/jobOptions.ts";
import { wholeNumber } from "./options/optionValue.ts";

const ACCEPT_NOTE = `
Root decides three things on each machine: which pools it takes jobs of, signed
by whom (this command); what they may execute (a file in
/etc/ffrtmp/fleet/templates.d for each template); and that they are started (the
service ffrtmp-fleet-runner, which is off). Without any of them, no job starts.`;

const RUNNER_NOTE = `
Verifies again what the agent has claimed: the signature, the pool, the time, the
template and its values. It needs root, to start jobs as another user, and no
network. Its end changes nothing for a job.`;

/** Commands by which root lets a machine take jobs of its fleet. */
export const DISPATCH_COMMANDS: Record<string, CommandDefinition> = {
  accept: {
    description: "as root of this machine, let it take jobs of pools, or stop that",
    define: (command) =>
      addAcceptOption(command, "write this file")
        .option("--pool <name>", "take jobs of this pool; repeatable", poolNames)
        .option("--as <user>", "run them as this user, which is not root")
        .option("--slots <n>", "run at most this many at once", wholeNumber(1, MAX_SLOTS), DEFAULT_SLOTS)
        .option(
          "--trust <key>",
          "take those signed by this key (O…), or by a key in this file; repeatable",
          collect,
        )
        .option("--signed-templates", "let the same keys sign templates too, which the hub distributes")
        .option("--off", "take no further jobs; running jobs continue")
        .addHelpText("after", ACCEPT_NOTE),
    load: async () => (await import("./commands/fleet/accept.ts")).accept,
  },
  runner: {
    description: "start the jobs that the agent of this machine has claimed, until it is stopped",
    define: (command) =>
      addAcceptOption(addStateOption(command), "take what this file allows")
        .option(
          "--config <file>",
          "read from this file where the agent has its directory (default: /etc/ffrtmp/fleet/node.yaml)",
        )
        .option(
          "--agent-state <dir>",
          "read claims below this directory (default: state_dir of the configuration, or /var/lib/ffrtmp-fleet)",
        )
        .option("--runner-state <dir>", "record starts in this directory (default: /var/lib/ffrtmp-runner)")
        .addHelpText("after", RUNNER_NOTE),
    load: async () => (await import("./commands/fleet/runner.ts")).runFleetRunner,
  },
  template: {
    description: "check templates of jobs, or sign one for all nodes that accept it",
    subcommands: {
      push: {
        description: "sign a template, and store it at the hub",
        define: (command) =>
          addDirOption(command)
            .argument("<file>", "template")
            .option("--name <name>", "store it under this name (default: the name of the file without .yaml)")
            .option(
              "--key <file>",
              "sign with the key in this file (default: jobs.nk beside the keys of the fleet)",
            )
            .option(
              "--replace <serial>",
              "replace this one, of another operator: see ffrtmp fleet template show",
              wholeNumber(1, Number.MAX_SAFE_INTEGER),
            ),
        load: async () => (await import("./commands/fleet/templatePush.ts")).pushTemplate,
      },
      show: {
        description: "print a template that the hub has",
        define: (command) => addDirOption(command).argument("<name>", "name of the template"),
        load: async () => (await import("./commands/fleet/templateShow.ts")).showTemplate,
      },
      check: {
        description: "check a template, and print what it would execute, one argument on each line",
        define: (command) =>
          command
            .argument("<file>", "template, such as /etc/ffrtmp/fleet/templates.d/hls.yaml")
            .option("--param <name=value>", "give a parameter a value; repeatable", collectParam)
            .option("--job <id>", "fill {job} with this id", "JOB")
            .option("--attempt <n>", "fill {attempt} with this number", wholeNumber(1, 20), 1)
            .option("--json", "print JSON"),
        load: async () => (await import("./commands/fleet/templateCheck.ts")).checkTemplate,
      },
    },
  },
};

function addAcceptOption(command: Command, purpose: string): Command {
  return command.option("--accept <file>", `${purpose} (default: /etc/ffrtmp/fleet/accept.yaml)`);
}

function collect(text: string, earlier: string[] = []): string[] {
  return [...earlier, text];
}

function collectParam(text: string, earlier: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1)
    throw new InvalidArgumentError("Expected: the name of a parameter, = and a value, such as height=720.");
  return { ...earlier, [text.slice(0, at)]: text.slice(at + 1) };
}
