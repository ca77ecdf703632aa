import { version } from "../../../package.json";
import { readWordsFile } from "../../sys/files.ts";
import { executeAgain } from "../../sys/ownProcess.ts";
import type { Locks } from "../dispatch/locks.ts";
import type { NodeConfig } from "../nodeConfig.ts";

/** The variable that tells a new start of this program that it is the agent, and for which node. src/main.ts reads its name too. */
const AGENT_VARIABLE = "FFRTMP_FLEET_AGENT";
/** The variable with the PID of an agent that has begun again. */
const AGAIN_VARIABLE = "FFRTMP_FLEET_AGENT_AGAIN";
/** The kernel takes no longer variable: MAX_ARG_STRLEN, execve(2). */
const MAX_VARIABLE_BYTES = 128 * 1024;

/** The settings that the agent takes from its command line and its configuration. The key of the node stays in its file. */
export interface AgentSettings {
  readonly config: NodeConfig;
  readonly ledger: string;
  readonly withCommands: boolean;
  /** Where root's permission for jobs of the fleet is, and the states of the agent and of the runner. */
  readonly dispatch: {
    readonly accept: string;
    readonly agentState: string;
    readonly runnerState: string;
    /** What root allows, as the first start has read it. */
    readonly locks: Locks;
  };
}

/**
 * Replaces this process with a new start of the same program, which is the agent and has not loaded what read the command line
 * and the configuration: 2 MB of code. execve(2) keeps the PID. Returns if that is not possible; this start is the agent then.
 */
export function continueAsAgent(settings: AgentSettings): void {
  const text = `${AGENT_VARIABLE}=${JSON.stringify({ version, settings })}`;
  const variable = new TextEncoder().encode(text);
  if (variable.length >= MAX_VARIABLE_BYTES) return;
  executeAgain(readWordsFile("/proc/self/cmdline"), [...readWordsFile("/proc/self/environ"), variable]);
}

/** Begins again with a first start, which reads all files anew. execve(2) keeps the PID. Returns if that is not possible. */
export function beginAgain(): void {
  const own = [AGENT_VARIABLE, AGAIN_VARIABLE].map((name) => `${name}=`);
  // The environment of this start, as it began.
  const environment = readWordsFile("/proc/self/environ").filter((word) => {
    const text = Buffer.from(word).toString("latin1");
    return !own.some((prefix) => text.startsWith(prefix));
  });
  const again = new TextEncoder().encode(`${AGAIN_VARIABLE}=${process.pid}`);
  executeAgain(readWordsFile("/proc/self/cmdline"), [...environment, again]);
}

/** Returns true in each start after `beginAgain`. What the agent has denied itself before stays denied: seccomp(2). */
export function hasBegunAgain(environment: NodeJS.ProcessEnv): boolean {
  return environment[AGAIN_VARIABLE] === String(process.pid);
}

/** Returns the settings, once; `undefined` in a first start, and in one of another release, after an upgrade at that moment. */
export function takeAgentSettings(environment: NodeJS.ProcessEnv): AgentSettings | undefined {
  const text = environment[AGENT_VARIABLE];
  delete environment[AGENT_VARIABLE];
  if (text === undefined) return undefined;
  const found = JSON.parse(text) as { version: string; settings: AgentSettings };
  return found.version === version ? found.settings : undefined;
}
