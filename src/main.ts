import { printErr, warn } from "./cli/output/messages.ts";
import { launchHost, repeatLaunch } from "./launch/launch.ts";
import { takeWaitingJob } from "./launch/newStart.ts";
import { type FullProgram, waitForPlainJob } from "./launch/wait.ts";
import { waitInNewStart } from "./launch/waiter.ts";
import { exitNow, resetIgnoredSigchld } from "./sys/ownProcess.ts";

// A `run` that repeats an earlier launch needs a small part of the program. The rest is loaded when it is needed.

/** The runtime compiles no function before it has run this many times as often as usual. */
const RELUCTANT_JIT = 100_000;

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
    if (process.argv[2] === "fleet") await continueAgent();
    if (process.argv[2] === "meter") (await import("./daemon/meter/wait.ts")).waitForFirstRequest();
    await runProgram();
  }
} catch (error) {
  await fail(error);
}

async function run(): Promise<void> {
  const waiting = takeWaitingJob(process.env);
  if (waiting !== undefined) exitNow(await waitInNewStart(launchHost, waiting, rest));
  // The runtime starts a thread for compiling when code runs often. During the spawn, the thread would be in the workload's
  // cgroup, like the one that starts it. What `run` does once is not worth compiling.
  Bun.unsafe.setJITPolicy(RELUCTANT_JIT);
  const launch = repeatLaunch(process.argv, warn);
  if (launch === undefined) await runProgram();
  else if (launch.isRecorded) exitNow(await waitForPlainJob(launchHost, launch, rest));
  else exitNow(await (await import("./cli/commands/plainRun.ts")).observePlainRun(launch));
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
