import { CommanderError } from "commander";
import { faultOfStdout, printErr, printError } from "./cli/output/messages.ts";
import { runProgram } from "./cli/program.ts";
import { Refusal } from "./jobs/errors.ts";
import { exitNow } from "./sys/exit.ts";
import { resetIgnoredSigchld } from "./sys/sigchld.ts";

/** `run` stands in for the command that it starts, so its own failures have a code that commands do not use. */
const OWN_FAILURE_OF_RUN = 125;
const BAD_INPUT = 2;
const OWN_FAULT = 70;
const OUTPUT_LOST = 1;

const isRun = process.argv[2] === "run";

// Without these, what is thrown in a timer or a callback ends in the runtime's dump of our minified source.
process.on("uncaughtException", (error) => exitNow(report(error)));
process.on("unhandledRejection", (error) => exitNow(report(error)));

resetIgnoredSigchld();
exitNow(confirmOutput(await runProgram(process.argv).catch(report)));

/** A table that a full disk has cut off must not look like the whole truth. */
function confirmOutput(exitCode: number): number {
  const fault = faultOfStdout();
  if (fault === undefined) return exitCode;
  printError(`cannot write to stdout (${fault}): the output is not whole`, undefined);
  if (exitCode !== 0) return exitCode;
  return isRun ? OWN_FAILURE_OF_RUN : OUTPUT_LOST;
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Help and version come this way too, with code 0; commander has printed its text.
    if (error.exitCode === 0) return 0;
    return isRun ? OWN_FAILURE_OF_RUN : BAD_INPUT;
  }
  if (error instanceof Refusal) {
    printError(error.message, error.hint);
    if ("exitCode" in error && typeof error.exitCode === "number") return error.exitCode;
    return isRun ? OWN_FAILURE_OF_RUN : BAD_INPUT;
  }
  printErr(`ffrtmp: a fault of ffrtmp itself: ${describeFault(error)}`);
  printErr("  try: report it with the command line and the output of: ffrtmp doctor");
  return isRun ? OWN_FAILURE_OF_RUN : OWN_FAULT;
}

function describeFault(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
