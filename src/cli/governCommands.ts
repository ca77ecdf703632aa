import { Option } from "commander";
import type { CommandDefinition } from "./commandDefinition.ts";
import { addIdentityOptions } from "./options/identityOptions.ts";
import {
  addJobArgument,
  addJobOptions,
  addJobsArgument,
  addOnceOption,
  addPlacementOption,
  addSpecOptions,
} from "./options/jobOptions.ts";
import { addLimitOptions } from "./options/limitOptions.ts";
import { parsePid, wholeNumber } from "./options/optionValue.ts";

/** As the README and the manual write it. Without the --, an option of CMD is one of ffrtmp. */
const CMD_USAGE = "[options] -- CMD [ARG...]";

const RUN_NOTE = `
Ctrl-C, SIGTERM and SIGHUP end the wait, never CMD, which keeps running under
its limits. To wait again: ffrtmp attach --job JOB. CMD has a process group of
its own, so this stops all of it: kill -- -PID`;

const EXEC_NOTE = `
Nothing waits: ffrtmp applies the limits to itself, records the job, and becomes
CMD with the same PID. Signals, the exit code and the end of CMD are the
caller's. ffrtmp watch records how it ended; without a watch, only that it did.`;

/** Commands that start to govern processes, or stop it. */
export const GOVERN_COMMANDS: Record<string, CommandDefinition> = {
  run: {
    description: "start CMD in its own session and cgroup, wait for it, and pass its exit code on",
    define: (command) =>
      addIdentityOptions(addOnceOption(addJobOptions(command)))
        .usage(CMD_USAGE)
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
        .usage(CMD_USAGE)
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
};

/** The subcommands of `limits`, for jobs that run. */
export const LIMIT_COMMANDS: Record<string, CommandDefinition> = {
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
};

/** The descriptor to which a copy in the background reports its start. */
function reportStartOption(): Option {
  return new Option("--report-start <fd>").hideHelp().argParser(wholeNumber(3, 1023));
}
