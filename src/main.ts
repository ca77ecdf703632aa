import { printErr, warn } from "./cli/output/messages.ts";
import { launchHost, repeatLaunch } from "./launch/launch.ts";
import { takeWaitingJob } from "./launch/newStart.ts";
import { type FullProgram, waitForPlainJob } from "./launch/wait.ts";
import { waitInNewStart } from "./launch/waiter.ts";
import { exitNow, resetIgnoredSigchld } from "./sys/ownProcess.ts";

// A `run` that repeats an earlier launch needs a small part of the program. The rest is loaded when it is needed.

/**
 * Commands but `run` let the runtime compile a function after 20 times as many calls as usual: most of their code runs once, and
 * compiling it costs more than it saves. The executable starts with a number that no launch reaches (scripts/build.ts).
 */
const JIT_POLICY = 20;

/** The exit code of a failure that cannot be reported. */
const INTERNAL_ERROR = 70;
let isFailing = false;

const rest: FullProgram = {
  print: printErr,
  denySignals: async () => (await import("./cli/denySignals.ts")).denySignals(),
  recordEnd: async (...end) => (await import("./cli/commands/plainRun.ts")).recordEnd(...end),
  stopObserving: async (...stop) => (await import("./cli/commands/plainRun.ts")).stopObservingRun(...stop),
  foldInbox: async () => (await import("./cli/commands/plainRun.ts")).foldInbox(),
};

// Without these, an exception in a timer or a callback makes the runtime print the minified source.
process.on("uncaughtException", (error) => void fail(error));
process.on("unhandledRejection", (error) => void fail(error));

try {
  resetIgnoredSigchld();
  if (process.argv[2] === "run") await run();
  else {
    Bun.unsafe.setJITPolicy(JIT_POLICY);
    if (process.argv[2] === "meter") (await import("./daemon/meter/wait.ts")).waitForFirstRequest();
    await runProgram();
  }
} catch (error) {
  await fail(error);
}

async function run(): Promise<void> {
  const waiting = takeWaitingJob(process.env);
  if (waiting !== undefined) exitNow(await waitInNewStart(launchHost, waiting, rest));
  const launch = repeatLaunch(process.argv, warn);
  if (launch === undefined) await runProgram();
  else if (launch.isRecorded) {
    const code = waitForPlainJob(launchHost, launch, rest);
    exitNow(typeof code === "number" ? code : await code);
  } else exitNow(await (await import("./cli/commands/plainRun.ts")).observePlainRun(launch));
}

async function runProgram(): Promise<void> {
  const { dispatch } = await import("./dispatch.ts");
  await dispatch();
}

async function fail(error: unknown): Promise<void> {
  // A failure of the report itself would be reported again, without end.
  if (isFailing) exitNow(INTERNAL_ERROR);
  isFailing = true;
  const { report } = await import("./dispatch.ts");
  exitNow(await report(error));
}
