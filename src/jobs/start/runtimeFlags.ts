import { Refusal } from "../errors.ts";

const FLAG = "BUN_FEATURE_FLAG_NO_ORPHANS";
const OPTIONS = "BUN_OPTIONS";

/**
 * Throws a Refusal when the environment tells the runtime that we are built on to let its children die with it.
 * It reads these before any code of ours runs and cannot be talked out of it, so a workload started now would not
 * survive us.
 */
export function rejectNoOrphansFlag(environment: NodeJS.ProcessEnv): void {
  const isOptionSet = /(^|\s)--no-orphans(\s|$)/.test(environment[OPTIONS] ?? "");
  const isFlagSet = !["", "0", "false"].includes(environment[FLAG] ?? "");
  if (!isOptionSet && !isFlagSet) return;
  // The option first: the runtime sets the flag because of it.
  const name = isOptionSet ? OPTIONS : FLAG;
  throw new Refusal(
    `${name}=${environment[name]} in the environment would end the workload whenever this ffrtmp ends`,
    `run without it: env -u ${name} ffrtmp run …; a workload that needs it: ffrtmp run -- env ${name}=… CMD`,
  );
}
