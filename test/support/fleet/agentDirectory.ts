import { existsSync, readFileSync } from "node:fs";
import { AGENT_DIRECTORY, NODE_CONFIG_FILE } from "../../../src/fleet/nodeFiles.ts";

/** Throws for an agent whose configuration names no directory: it would leave files in the usual one of this machine. */
export function checkAgentDirectory(cmd: readonly string[]): void {
  const at = cmd.indexOf("fleet");
  if (at === -1 || cmd[at + 1] !== "agent") return;
  const option = cmd.indexOf("--config");
  const config = (option === -1 ? undefined : cmd[option + 1]) ?? NODE_CONFIG_FILE;
  if (existsSync(config) && !/^state_dir: /m.test(readFileSync(config, "utf8")))
    throw new Error(`${config} has no state_dir: this agent would write to ${AGENT_DIRECTORY}`);
}
