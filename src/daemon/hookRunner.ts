import { writeSync } from "node:fs";
import { hookGroupName } from "../jobs/job.ts";
import { describeErrno } from "../sys/errno.ts";
import { setHelperPriority } from "./helperPriority.ts";
import { HookCgroup } from "./hookCgroup.ts";
import type { HookReport, HookRequest } from "./hookProtocol.ts";

/** Calls at the same time. */
const MAX_RUNNING = 4;
const MAX_OUTPUT_BYTES = 4096;
/** More than those of all workloads that have the default. */
const NICE = 10;
/** The most tries to remove a cgroup: its killed processes take a moment to end. */
const REMOVE_TRIES = 50;
const REMOVE_INTERVAL_MS = 20;

/**
 * A process of its own beside `watch`, which runs the commands of `on_end` and nothing else. The daemon gives up the right to
 * send signals, and a command that exceeds its time must be ended: so this process starts before that, and signals only the
 * process groups that it started itself. It ends after the daemon, when the calls that it has received are done.
 */
export async function runHooks(tag: string): Promise<number> {
  setHelperPriority(NICE);
  const cgroup = new HookCgroup(hookGroupName(tag));
  const waiting: HookRequest[] = [];
  const { promise: isDone, resolve: finish } = Promise.withResolvers<void>();
  let running = 0;
  let hasEnded = false;

  function startNext(): void {
    while (running < MAX_RUNNING) {
      const request = waiting.shift();
      if (request === undefined) break;
      running++;
      void runHook(request, cgroup.createForCall()).then((report) => {
        running--;
        send(report);
        startNext();
      });
    }
    if (hasEnded && running === 0) finish();
  }

  for await (const line of console) {
    // The end of the input, also in the middle of a line when the daemon is killed.
    if (!line.endsWith("}")) continue;
    waiting.push(JSON.parse(line) as HookRequest);
    startNext();
  }
  hasEnded = true;
  startNext();
  await isDone;
  cgroup.leave();
  return 0;
}

function send(report: HookReport): void {
  try {
    writeSync(1, `${JSON.stringify(report)}\n`);
  } catch {
    // The daemon is gone.
  }
}

async function runHook(request: HookRequest, cgroup: string | undefined): Promise<HookReport> {
  const { id, command, timeoutMs, input, environment } = request;
  let child: Bun.Subprocess<Uint8Array, "pipe", "pipe">;
  try {
    child = Bun.spawn({
      cmd: [...command],
      cwd: "/",
      env: environment,
      stdin: new TextEncoder().encode(input),
      stdout: "pipe",
      stderr: "pipe",
      // Its own session and process group.
      detached: true,
      ...(cgroup === undefined ? {} : { cgroup }),
    });
  } catch (error) {
    return { id, failure: `cannot be started: ${describeErrno(error)}`, output: "" };
  }
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    killGroup(child.pid);
    if (cgroup !== undefined) HookCgroup.kill(cgroup);
  }, timeoutMs);
  const output = new Output();
  const reads = [output.read(child.stdout), output.read(child.stderr)];
  await child.exited;
  clearTimeout(timer);
  // A process that the command left behind can have its output open for ever.
  await Promise.race([Promise.all(reads), Bun.sleep(REMOVE_INTERVAL_MS)]);
  if (cgroup !== undefined) await removeCallCgroup(cgroup);
  return { id, failure: failureOf(child, isLate, timeoutMs), output: output.text() };
}

/** The group has the PID of its first process, which is not collected yet, so no other group can have its number. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The sandbox of the packaged service forbids signals. There the cgroup is killed.
  }
}

async function removeCallCgroup(cgroup: string): Promise<void> {
  HookCgroup.kill(cgroup);
  for (let tries = 0; tries < REMOVE_TRIES && !HookCgroup.remove(cgroup); tries++)
    await Bun.sleep(REMOVE_INTERVAL_MS);
}

function failureOf(child: Bun.Subprocess, isLate: boolean, timeoutMs: number): string | null {
  if (isLate) return `was ended after ${timeoutMs / 1000} s`;
  if (child.signalCode !== null) return `was ended by ${child.signalCode}`;
  return child.exitCode === 0 ? null : `has exited with code ${child.exitCode}`;
}

/** The first bytes of several streams, which are read to their end. */
class Output {
  #bytes: Uint8Array[] = [];
  #room = MAX_OUTPUT_BYTES;

  async read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const chunk of stream) {
      const part = chunk.subarray(0, this.#room);
      this.#room -= part.length;
      if (part.length > 0) this.#bytes.push(part);
    }
  }

  text(): string {
    return new TextDecoder().decode(Buffer.concat(this.#bytes)).trimEnd();
  }
}
