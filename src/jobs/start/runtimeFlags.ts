import type { Host } from "../../linux/host.ts";
import { readTextFile } from "../../sys/files.ts";
import { Refusal } from "../errors.ts";

/**
 * Throws a Refusal if the environment makes the runtime, Bun, end its children when it ends. Bun reads these variables
 * before any code of ffrtmp runs and offers no way to change the setting later.
 */
export function rejectNoOrphansFlag(environment: NodeJS.ProcessEnv): void {
  const options = environment["BUN_OPTIONS"];
  const isOptionSet = options !== undefined && /(^|\s)--no-orphans(\s|$)/.test(options);
  const isFlagSet = !["", "0", "false"].includes(environment["BUN_FEATURE_FLAG_NO_ORPHANS"] ?? "");
  if (!isOptionSet && !isFlagSet) return;
  // The option comes first, because the runtime sets the flag if the option is given.
  const name = isOptionSet ? "BUN_OPTIONS" : "BUN_FEATURE_FLAG_NO_ORPHANS";
  throw new Refusal(
    `${name}=${environment[name]} in the environment would end the workload when this ffrtmp ends`,
    `env -u ${name} ffrtmp run …; or, for a workload that needs it: ffrtmp run -- env ${name}=… CMD`,
  );
}

/**
 * Returns the environment for a workload if the runtime has changed that of this process, else `undefined`. Where a
 * Node.js program has started ffrtmp with a channel for messages, the runtime takes the variables that name the channel's
 * descriptor, as if the messages were for ffrtmp.
 */
export function callersEnvironment({ procRoot }: Pick<Host, "procRoot">): NodeJS.ProcessEnv | undefined {
  if (!process.connected) return undefined;
  const variables = readTextFile(`${procRoot}/self/environ`).split("\0");
  const taken = variables.filter((variable) => variable.startsWith("NODE_CHANNEL_"));
  return { ...process.env, ...Object.fromEntries(taken.map((variable) => variable.split("="))) };
}
