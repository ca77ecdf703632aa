import { CommanderError } from "commander";
import { faultOfStdout, printErr, printError } from "./cli/output/messages.ts";
import { runProgram } from "./cli/program.ts";
import { Refusal } from "./jobs/errors.ts";
import { errnoOf } from "./sys/errno.ts";
import { NoCompiledCode } from "./sys/libc.ts";
import { exitNow } from "./sys/ownProcess.ts";

/** `run` returns the code of its command, so a failure of ffrtmp has a code that commands do not use. */
const RUN_FAILED = 125;
/** `health` has the exit codes of monitoring plugins, of which 2 is a finding. */
const HEALTH_UNKNOWN = 3;
const BAD_INPUT = 2;
const INTERNAL_ERROR = 70;
const OUTPUT_LOST = 1;

/** Runs the command that the arguments name, and ends the process. */
export async function dispatch(): Promise<never> {
  exitNow(confirmOutput(await runProgram(process.argv).catch(report)));
}

/** Reports output that could not be written: a table that a full disk has cut off must not look complete. */
function confirmOutput(exitCode: number): number {
  const fault = faultOfStdout();
  if (fault === undefined) return exitCode;
  printError(`cannot write to stdout (${fault}): the output is incomplete`);
  return exitCode || codeOf(OUTPUT_LOST);
}

/** Prints a failure, and returns the exit code for it. */
export async function report(error: unknown): Promise<number> {
  // --help and --version end this way too, with code 0. In every case commander has printed its text.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : codeOf(BAD_INPUT);
  if (error instanceof Refusal) {
    printError(await withoutSecrets(error.message), error.hint && (await withoutSecrets(error.hint)));
    return "exitCode" in error && typeof error.exitCode === "number" ? error.exitCode : codeOf(BAD_INPUT);
  }
  if (error instanceof NoCompiledCode) {
    printError(
      `cannot start: ${error.message}`,
      "raise the limit on address space or data: ulimit -v, ulimit -d",
    );
    return codeOf(INTERNAL_ERROR);
  }
  const errno = errnoOf(error);
  if (errno === "EMFILE" || errno === "ENFILE") {
    printError(
      `too few file descriptors: ${(error as Error).message}`,
      "raise the limit on open files: ulimit -n",
    );
    return codeOf(INTERNAL_ERROR);
  }
  const details = error instanceof Error ? (error.stack ?? error.message) : String(error);
  printErr(`ffrtmp: internal error: ${await withoutSecrets(details)}`);
  printErr("  try: report it with the command line and the output of: ffrtmp doctor");
  return codeOf(INTERNAL_ERROR);
}

/** Errors repeat arguments. The module is loaded for errors only: it would delay the workloads of `run`. */
async function withoutSecrets(text: string): Promise<string> {
  return (await import("./jobs/model/secrets.ts")).maskText(text);
}

function codeOf(failure: number): number {
  if (process.argv[2] === "health") return HEALTH_UNKNOWN;
  // Their other exit codes are those of the command.
  return ["run", "exec"].includes(process.argv[2] ?? "") ? RUN_FAILED : failure;
}
