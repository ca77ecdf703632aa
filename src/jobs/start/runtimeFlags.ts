import { Refusal } from "../errors.ts";

const FLAG = "BUN_FEATURE_FLAG_NO_ORPHANS";
const OPTIONS = "BUN_OPTIONS";

/**
 * Throws a Refusal if the environment makes the runtime, Bun, end its children when it ends. Bun reads these variables
 * before any code of ffrtmp runs and offers no way to change the setting later.
 */
export function rejectNoOrphansFlag(environment: NodeJS.ProcessEnv): void {
  const isOptionSet = /(^|\s)--no-orphans(\s|$)/.test(environment[OPTIONS] ?? "");
  const isFlagSet = !["", "0", "false"].includes(environment[FLAG] ?? "");
  if (!isOptionSet && !isFlagSet) return;
  // The option comes first, because the runtime sets the flag if the option is given.
  const name = isOptionSet ? OPTIONS : FLAG;
  throw new Refusal(
    `${name}=${environment[name]} in the environment would end the workload when this ffrtmp ends`,
    `env -u ${name} ffrtmp run …; or, for a workload that needs it: ffrtmp run -- env ${name}=… CMD`,
  );
}
