import { appendFileSync } from "node:fs";
import type { Sandbox } from "../sandbox.ts";

/** Makes a node by its invite. Its agent has a directory of the test's own, and not the usual one of this machine. */
export async function joinNode(
  sandbox: Sandbox,
  invite: string,
  { config, agentDirectory, flags = [] }: { config: string; agentDirectory: string; flags?: string[] },
): Promise<void> {
  // As an argument, because it is a test. It contains a key.
  const { code, stderr } = await sandbox.run(["fleet", "join", invite, "--config", config, ...flags]);
  if (code !== 0) throw new Error(`ffrtmp fleet join failed with ${code}: ${stderr}`);
  appendFileSync(config, `state_dir: ${agentDirectory}\n`);
}
