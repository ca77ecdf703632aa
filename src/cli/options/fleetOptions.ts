import { type Command, InvalidArgumentError } from "commander";
import { isNodeName, NODE_NAME } from "../../fleet/token.ts";

/** Adds the option that names the operator's files. */
export function addDirOption(command: Command): Command {
  return command.option(
    "--dir <dir>",
    "set the directory of the operator's keys (default: FFRTMP_FLEET, ~/.config/ffrtmp/fleet)",
  );
}

/** The name of a pool or a job is a token of a subject, as that of a node is. */
export function poolName(text: string): string {
  if (!isNodeName(text)) throw new InvalidArgumentError(`${NODE_NAME}.`);
  return text;
}

/** Collects names of pools. */
export function poolNames(text: string, before: string[] = []): string[] {
  return [...before, poolName(text)];
}
