import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Governor } from "../govern/governor.ts";
import { readOwnArguments } from "../govern/inheritedFiles.ts";
import { mayHaveLostBytes, viaShell } from "../govern/rawArguments.ts";
import { Refusal } from "../govern/refusal.ts";
import { realHost } from "../kernel/host.ts";
import { locateState } from "../ledger/location.ts";
import { printJson, printOut } from "./render/messages.ts";
import type { RunFlags } from "./run.ts";

/** How the start went, as the background copy tells the one that the user waits for. */
export type StartReport = { pid: number | null } | { exitCode: number; message: string; hint?: string };

/** The descriptor at which the background copy finds its end of the pipe. */
const REPORT_FD = 3;

/**
 * Leaves a copy of ourselves in the background, because only a parent is told an exit code,
 * and returns when that copy has started the workload or could not.
 */
export async function runInBackground(jobId: string, flags: RunFlags): Promise<number> {
  const state = locateState(flags.statePath, process.env);
  const ownLog = openOwnLog(state.directory, state.ownLog);
  const child = Bun.spawn({
    cmd: backgroundCommand(jobId),
    detached: true,
    stdio: ["ignore", ownLog, ownLog, "pipe"],
  });
  child.unref();
  closeSync(ownLog);
  const pipe = child.stdio[REPORT_FD];
  const text = typeof pipe === "number" ? await Bun.file(pipe).text() : "";
  if (text === "") {
    throw new Refusal(
      `the background copy for job ${jobId} died while starting`,
      `see the end of ${state.ownLog}`,
    );
  }
  const report = JSON.parse(text) as StartReport;
  if ("message" in report) {
    throw Object.assign(new Refusal(report.message, report.hint), { exitCode: report.exitCode });
  }
  if (flags.json) printJson({ job_id: jobId, pid: report.pid });
  else printOut(jobId);
  return 0;
}

export function reportStart(fd: number, report: StartReport): void {
  writeSync(fd, JSON.stringify(report));
  closeSync(fd);
}

/** Where the workload of a background job writes; throws a Refusal where the file cannot be had. */
export function openJobLog(governor: Governor, jobId: string): { fd: number; path: string } {
  const path = join(governor.state.logs, `${jobId}-${governor.host.now().toString(36)}.log`);
  try {
    mkdirSync(governor.state.logs, { recursive: true, mode: 0o750 });
    return { fd: openSync(path, "ax", 0o640), path };
  } catch (error) {
    throw new Refusal(
      `cannot make ${path} for the job's output: ${error}`,
      "name another state directory: --state-path",
    );
  }
}

function openOwnLog(directory: string, path: string): number {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    return openSync(path, "a", 0o640);
  } catch (error) {
    throw new Refusal(`cannot write ${path}: ${error}`, "name another state directory: --state-path");
  }
}

function backgroundCommand(jobId: string): string[] {
  const own = process.argv.slice(2);
  const extra = ["--report-start", String(REPORT_FD), "--job-id", jobId];
  const [subcommand = "", ...rest] = own;
  const self = selfCommand();
  if (!mayHaveLostBytes(own)) return [...self, subcommand, ...extra, ...rest];
  const encoder = new TextEncoder();
  const words = [...self.slice(1), subcommand, ...extra].map((word) => encoder.encode(word));
  const bytes = readOwnArguments(realHost()).slice(-rest.length);
  return viaShell(self[0] as string, [new Uint8Array(), ...words, ...bytes]);
}

/** How to start ourselves once more: the executable, or the runtime with the program's file. */
function selfCommand(): string[] {
  const isCompiled = Bun.main.startsWith("/$bunfs/");
  return isCompiled ? [process.execPath] : [process.execPath, Bun.main];
}
