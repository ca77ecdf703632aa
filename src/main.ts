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
  const isRun = process.argv[2] === "run";
  const code = isRun ? runAgain() : undefined;
  // No promise, unless it is needed: its first use takes 0.05 ms.
  if (code !== undefined) exitNow(typeof code === "number" ? code : await code);
  if (!isRun) Bun.unsafe.setJITPolicy(JIT_POLICY);
  if (process.argv[2] === "fleet") await continueAgent();
  if (process.argv[2] === "meter") (await import("./daemon/meter/wait.ts")).waitForFirstRequest();
  await runProgram();
} catch (error) {
  await fail(error);
}

/** Starts the workload of a `run` as an earlier one, waits for it, and returns its exit code. `undefined`: nothing was done. */
function runAgain(): number | Promise<number> | undefined {
  const waiting = takeWaitingJob(process.env);
  if (waiting !== undefined) return waitInNewStart(launchHost, waiting, rest);
  const launch = repeatLaunch(process.argv, warn);
  if (launch === undefined) return undefined;
  if (launch.isRecorded) return waitForPlainJob(launchHost, launch, rest);
  return import("./cli/commands/plainRun.ts").then((full) => full.observePlainRun(launch));
}

/** A new start of the agent of a fleet reads no command line. */
async function continueAgent(): Promise<void> {
  if (process.env["FFRTMP_FLEET_AGENT"] === undefined) return;
  const { takeAgentSettings } = await import("./fleet/agent/newStart.ts");
  const settings = takeAgentSettings(process.env);
  if (settings === undefined) return;
  exitNow(await (await import("./cli/commands/fleetAgentStart.ts")).serveAsAgent(settings));
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
