import { chmodSync, chownSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { readAcceptance } from "../../../fleet/dispatch/accept.ts";
import { NodeAttemptLedger } from "../../../fleet/dispatch/attemptLedger.ts";
import { type RunEnd, Runner } from "../../../fleet/dispatch/runner.ts";
import { SignedTemplates } from "../../../fleet/dispatch/signedTemplates.ts";
import { claimRecord, runnerRecord, Spool } from "../../../fleet/dispatch/spool.ts";
import { readTemplate } from "../../../fleet/dispatch/template.ts";
import { templateDirectory } from "../../../fleet/dispatch/templateFiles.ts";
import type { StartPlan } from "../../../fleet/dispatch/verify.ts";
import {
  agentDirectory,
  NODE_CONFIG_FILE,
  type NodeConfig,
  readNodeConfig,
} from "../../../fleet/nodeConfig.ts";
import { acceptFile, claimsDirectory, RUNNER_DIRECTORY } from "../../../fleet/nodeFiles.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { locateState } from "../../../ledger/location.ts";
import { rejectStrangers } from "../../../ledger/strangers.ts";
import { watchPath } from "../../../linux/fileWatch.ts";
import { realHost } from "../../../linux/host.ts";
import { readBootId } from "../../../linux/proc/identity.ts";
import { findGroup } from "../../../linux/proc/userAccount.ts";
import { describeErrno, errnoOf } from "../../../sys/errno.ts";
import { lockFile } from "../../../sys/fileLock.ts";
import { firstSignal } from "../../../sys/ownSignals.ts";
import type { CommonFlags } from "../../options/jobOptions.ts";
import { neverWaitForStderr, warn } from "../../output/messages.ts";
import { ownCommand } from "../../ownCommand.ts";

interface RunnerFlags extends CommonFlags {
  config?: string;
  accept?: string;
  agentState?: string;
  runnerState?: string;
}

/** Interval of checks. The claims are watched, but no event reports that a job's time has come or that a slot is free. */
const INTERVAL_MS = 1000;
/** A start waits up to 5 s for the ledger. After this time, its ffrtmp is left to itself. */
const START_TIMEOUT_MS = 60_000;
/** As ffrtmp run ends where the kernel refuses the same of the command. */
const NOT_EXECUTABLE = 126;
const GROUP = "ffrtmp";
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";

/**
 * Starts the attempts that the agent of this node has claimed, until a signal. It has no connection to anything. It must not deny
 * itself signals and the like, as the agent does: the workloads would inherit that.
 */
export async function runFleetRunner(flags: RunnerFlags): Promise<number> {
  if (process.geteuid?.() !== 0)
    throw new Refusal(
      "the runner starts jobs as another user, which only root can",
      "sudo ffrtmp fleet runner",
    );
  neverWaitForStderr();
  const directory = flags.runnerState ?? RUNNER_DIRECTORY;
  prepareDirectory(directory);
  const config = readConfig(flags.config);
  const { accept = acceptFile(config?.directory) } = flags;
  const state = locateState(flags.statePath, process.env);
  const claims = new Spool(claimsDirectory(agentDirectory(config, flags.agentState)), claimRecord);
  const signed = new SignedTemplates(join(claims.directory, "..", "templates"), join(directory, "serials"));
  const runner = new Runner({
    claims,
    own: new Spool(directory, runnerRecord),
    locks: {
      readAcceptance: () => readAcceptance(accept),
      // Root's own template wins.
      readTemplate: (name, { signedTemplates: isAllowed, trusted }) =>
        readTemplate(name, templateDirectory(accept)) ?? (isAllowed ? signed.read(name, trusted) : undefined),
    },
    ledger: new NodeAttemptLedger(state.ledger, warn),
    bootId: readBootId(realHost()),
    nowMs: Date.now,
    run: (plan) => runDetached(plan, state.directory),
    log: warn,
  });
  let isStopped = false;
  let wake = Promise.withResolvers<void>();
  void firstSignal().then(() => {
    isStopped = true;
    wake.resolve();
  });
  let watch: ReturnType<typeof watchPath>;
  let fault: string | undefined;
  while (!isStopped) {
    wake = Promise.withResolvers();
    watch ??= watchPath(
      claims.directory,
      () => wake.resolve(),
      (name) => name.endsWith(".json"),
    );
    fault = await stepOrFault(runner, fault);
    const timer = setTimeout(wake.resolve, INTERVAL_MS);
    await wake.promise;
    clearTimeout(timer);
  }
  watch?.close();
  return 0;
}

/** Reads who this node is; `undefined`: it has not joined yet, and the usual directories are meant. */
function readConfig(named: string | undefined): NodeConfig | undefined {
  if (named === undefined && !existsSync(NODE_CONFIG_FILE)) return undefined;
  return readNodeConfig(named ?? NODE_CONFIG_FILE);
}

/** A full disk, or a directory that another program removes, must not end the runner. */
async function stepOrFault(runner: Runner, before: string | undefined): Promise<string | undefined> {
  try {
    await runner.step();
    return undefined;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    const fault = `attempts wait: ${describeErrno(error)}`;
    if (fault !== before) warn(fault);
    return fault;
  }
}

/** Makes the directory root's, readable for the group of the agent, and locks it: two runners would only get in each other's way. */
function prepareDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o750 });
    rejectStrangers(directory);
    const gid = findGroup(GROUP);
    if (gid !== undefined) {
      chownSync(directory, 0, gid);
      // New files get the group of the directory: inode(7).
      chmodSync(directory, 0o2750);
    }
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw new Refusal(`cannot use ${directory}: ${describeErrno(error)}`);
  }
  // The lock stays until this process ends.
  const lock = lockFile(`${directory}/lock`);
  if (lock === "locked") throw new Refusal(`another ffrtmp fleet runner uses ${directory}`);
  if (typeof lock === "object") throw new Refusal(`cannot run: ${lock.reason}`);
}

/** The workload inherits this environment: that of the service would be a surprise in it. */
async function runDetached({ options, command }: StartPlan, state: string): Promise<RunEnd> {
  const child = spawnRun(["--detach", `--state-path=${state}`, ...options, "--", ...command]);
  if (child === "too large")
    return { code: NOT_EXECUTABLE, said: "its arguments are larger than the kernel allows" };
  const ended = Promise.all([new Response(child.stderr).text(), child.exited]);
  const timeout = Bun.sleep(START_TIMEOUT_MS).then(() => undefined);
  const [text, code] = (await Promise.race([ended, timeout])) ?? ["it does not end", null];
  const isKilled = code === null || child.signalCode !== null;
  return { code: isKilled ? null : code, said: reasonIn(text) };
}

function spawnRun(words: string[]) {
  try {
    return Bun.spawn({
      cmd: ownCommand("run", ...words),
      cwd: "/",
      env: { PATH: process.env["PATH"] ?? DEFAULT_PATH },
      stdio: ["ignore", "ignore", "pipe"],
      // Ctrl-C is for the runner.
      detached: true,
    });
  } catch (error) {
    // This attempt never can be started, and those after it must not wait for it. Other reasons pass, such as a lack of memory.
    if (errnoOf(error) === "E2BIG") return "too large";
    throw error;
  }
}

/** `ffrtmp: cannot run ffmpeg: ffmpeg is not in PATH` → without the name of the program, and the first line of it. */
function reasonIn(text: string): string {
  const lines = text.split("\n").map((line) => line.replace(/^(ffrtmp|error): /, "").trim());
  return lines.find((line) => line !== "") ?? "it gave no reason";
}
