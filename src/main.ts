import { CommanderError } from "commander";
import { runProgram } from "./cli/program.ts";
import { printError } from "./cli/render/messages.ts";
import { Refusal } from "./govern/refusal.ts";
import { exitNow } from "./sys/exit.ts";

/** `run` stands in for the command that it starts, so its own failures have a code that commands do not use. */
const OWN_FAILURE_OF_RUN = 125;
const BAD_INPUT = 2;
const OWN_FAULT = 70;

exitNow(await runProgram(process.argv).catch((error: unknown) => report(error, process.argv[2] === "run")));

function report(error: unknown, isRun: boolean): number {
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
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  printError(
    `a fault of ffrtmp itself: ${text}`,
    "report it with the command line and the output of: ffrtmp doctor",
  );
  return isRun ? OWN_FAILURE_OF_RUN : OWN_FAULT;
}
