import { readFileSync } from "node:fs";
import { continueAsAgent } from "../../fleet/agent/newStart.ts";
import { readLocks } from "../../fleet/dispatch/readLocks.ts";
import { agentDirectory, NODE_CONFIG_FILE, type NodeConfig, readNodeConfig } from "../../fleet/nodeConfig.ts";
import { acceptFile, RUNNER_DIRECTORY } from "../../fleet/nodeFiles.ts";
import { Refusal } from "../../jobs/errors.ts";
import { locateState } from "../../ledger/location.ts";
import { describeErrno } from "../../sys/errno.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { REJOIN, readSeed, serveAsAgent } from "./fleetAgentStart.ts";

interface AgentFlags extends CommonFlags {
  config?: string;
  withCommands?: boolean;
  accept?: string;
  agentState?: string;
  runnerState?: string;
}

/** Reports this node to the hub of its fleet, until a signal stops it. */
export async function runFleetAgent(flags: AgentFlags): Promise<number> {
  const config = readNodeConfig(flags.config ?? NODE_CONFIG_FILE);
  readSeed(config);
  checkAuthority(config);
  const { ledger } = locateState(flags.statePath, process.env);
  const { accept = acceptFile(config.directory), runnerState = RUNNER_DIRECTORY } = flags;
  const dispatch = {
    accept,
    agentState: agentDirectory(config, flags.agentState),
    runnerState,
    locks: readLocks(accept),
  };
  const settings = { config, ledger, withCommands: flags.withCommands ?? false, dispatch };
  continueAsAgent(settings);
  return serveAsAgent(settings, () => readLocks(accept));
}

/** A file without a certificate would fail each connection, with a reason that names the hub. */
function checkAuthority({ caFile: file }: NodeConfig): void {
  if (file === undefined) return;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new Refusal(
      `cannot read the certificate of the hub's authority in ${file}: ${describeErrno(error)}`,
      REJOIN,
    );
  }
  if (!text.includes("-----BEGIN CERTIFICATE-----"))
    throw new Refusal(`${file} contains no certificate of the hub's authority`, REJOIN);
}
