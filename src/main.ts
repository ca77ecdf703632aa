import { type RepeatedLaunch, repeatLaunch } from "./launch/launch.ts";
import { resetIgnoredSigchld } from "./sys/ownProcess.ts";

// A `run` that repeats an earlier launch needs a small part of the program. The rest is loaded when it is needed.

/** The runtime compiles no function before it has run this many times as often as usual. */
const RELUCTANT_JIT = 100_000;

if (process.argv[2] !== "run") {
  resetIgnoredSigchld();
  const { dispatch } = await import("./dispatch.ts");
  await dispatch();
}
// The runtime starts a thread for compiling when code runs often. During the spawn, the thread would be in the workload's
// cgroup, like the one that starts it. What `run` does once is not worth compiling.
Bun.unsafe.setJITPolicy(RELUCTANT_JIT);
const command = await launch();
const { dispatch } = await import("./dispatch.ts");
await dispatch(command);

/** Returns what is left of the command. */
async function launch(): Promise<(() => Promise<number>) | undefined> {
  let repeated: RepeatedLaunch | undefined;
  try {
    resetIgnoredSigchld();
    repeated = repeatLaunch(process.argv, (message) => console.error(message));
  } catch (error) {
    return () => Promise.reject(error);
  }
  if (repeated === undefined) return undefined;
  const { continueRun } = await import("./cli/commands/continueRun.ts");
  const launched = repeated;
  return () => continueRun(launched);
}
