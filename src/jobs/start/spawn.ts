import type { Usage } from "../../limits/usage.ts";
import type { Host } from "../../linux/host.ts";
import { signalNumber } from "../../sys/waitStatus.ts";
import { type Ending, endingOfStatus } from "../model/ending.ts";
import { type StdioList, withInheritedFiles } from "./inheritedFiles.ts";
import { mayHaveLostBytes, viaShell } from "./rawArguments.ts";
import { callersEnvironment } from "./runtimeFlags.ts";

/** The program to execute, and everything that it inherits. */
export interface Workload {
  command: string[];
  /** The words of the command as bytes; needed if they are not UTF-8. */
  commandBytes: Uint8Array[];
  workingDirectory: string;
  /** Descriptors 0 to 2 of the workload. */
  standard: StdioList;
  /** Descriptors above 2 that the workload inherits under the same number. */
  inherited: number[];
  /** The environment; absent: that of the caller. */
  environment?: NodeJS.ProcessEnv;
}

/** The end of a workload, and the usage that wait(2) measured. */
export interface WorkloadEnd {
  ending: Ending;
  measured: Partial<Usage>;
}

/** Starts a workload in its own session and process group. `enters`: the cgroup that it is cloned into (v2). */
export function spawnWorkload(
  host: Pick<Host, "procRoot">,
  workload: Workload & { path: string; enters: string | undefined },
): Bun.Subprocess {
  const { command, commandBytes, path, enters, workingDirectory, standard, inherited } = workload;
  const isRaw = mayHaveLostBytes(command);
  const env = workload.environment ?? callersEnvironment(host);
  return Bun.spawn({
    cmd: isRaw ? viaShell(path, commandBytes) : [path, ...command.slice(1)],
    ...(isRaw ? {} : { argv0: command[0] as string }),
    // Left out for the current directory: that may be inherited although it could not be entered again.
    ...(workingDirectory === process.cwd() ? {} : { cwd: workingDirectory }),
    ...(env ? { env } : {}),
    detached: true,
    stdio: withInheritedFiles(standard, inherited),
    ...(enters === undefined ? {} : { cgroup: enters }),
  });
}

/** Settles when the workload has ended; never rejects. */
export async function waitForEnd(child: Bun.Subprocess): Promise<WorkloadEnd> {
  await child.exited;
  const usage = child.resourceUsage();
  const measured = usage && {
    cpuUserUsec: Number(usage.cpuTime.user),
    cpuSystemUsec: Number(usage.cpuTime.system),
    memoryPeakBytes: usage.maxRSS,
  };
  return { ending: endingOf(child), measured: measured ?? {} };
}

function endingOf({ exitCode, signalCode }: Bun.Subprocess): Ending {
  if (signalCode === null && exitCode !== null) return endingOfStatus(exitCode << 8, "parent");
  const signal = typeof signalCode === "string" ? signalNumber(signalCode) : signalCode;
  if (signal) return endingOfStatus(signal, "parent");
  const reason = `the runtime reported neither an exit code nor a known signal (${signalCode})`;
  return { kind: "exit-unknown", reason };
}
