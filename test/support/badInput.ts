import { expect } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type Ended, FFRTMP, type Sandbox, type SpawnOptions, testIf, until } from "./sandbox.ts";

/** A wrong use of ffrtmp, and the expected answer. */
export interface Misuse {
  name: string;
  args: string[];
  /** The exit code; by default 125 for `run` and 2 for the other commands. */
  code?: number;
  /** Patterns that stderr has to match, each of them. */
  stderr: RegExp[];
  /** The reason why this machine cannot test it. */
  unless?: string | undefined;
}

/** Defines a test for each misuse: exit code, a clear message, nothing on stdout, and nothing left behind. */
export function testMisuses(sandbox: () => Sandbox, misuses: Misuse[]): void {
  for (const { name, args, stderr, unless, code = args[0] === "run" ? 125 : 2 } of misuses) {
    testIf(unless)(name, async () => {
      const ended = await sandbox().run(args);
      expect({ ...ended, stderr: "" }).toEqual({ code, stdout: "", stderr: "" });
      expectMessage(ended.stderr, stderr);
      await expectNothingDone(sandbox());
    });
  }
}

/** Expects whole lines that begin with ffrtmp's name, and no stack trace. */
export function expectMessage(stderr: string, patterns: RegExp[]): void {
  for (const pattern of patterns) expect(stderr).toMatch(pattern);
  expect(stderr).toMatch(/^ffrtmp: /);
  expect(stderr).toEndWith("\n");
  expect(stderr).not.toMatch(/internal error|\$bunfs/);
}

/** Expects that there is no job, not even an ended one, no cgroup, no process and no log. */
export async function expectNothingDone(sandbox: Sandbox): Promise<void> {
  expect(sandbox.cgroups()).toEqual([]);
  // The background copy ends after its message.
  await until("no process is left", () => processesOf(sandbox).length === 0);
  const isThere = existsSync(sandbox.state);
  expect(isThere ? await sandbox.json(["ps"]) : []).toEqual([]);
  expect(isThere ? await sandbox.json(["history"]) : []).toEqual([]);
  expect(existsSync(`${sandbox.state}/logs`) ? readdirSync(`${sandbox.state}/logs`) : []).toEqual([]);
}

/** Lists the processes that have the sandbox's state directory in their environment. */
export function processesOf({ state }: Sandbox): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && environmentOf(pid).includes(`FFRTMP_STATE=${state}`));
}

/** Runs a shell script to its end, with the executable as `$F`. */
export async function runScript(
  sandbox: Sandbox,
  script: string,
  options: SpawnOptions = {},
  within: string[] = [],
): Promise<Ended> {
  const child = sandbox.spawn([...within, "sh", "-c", script], {
    cwd: sandbox.directory,
    ...options,
    env: { F: FFRTMP, ...options.env },
  });
  const [stdout, stderr] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
  return { code: await child.exited, stdout, stderr };
}

/**
 * Prefix of a command that gets its own mount namespace. Its mounts are visible to it alone and end with it.
 */
export const PRIVATE_MOUNTS = ["unshare", "--mount", "--propagation", "private"];

function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    // The process is gone or belongs to another user.
    return [];
  }
}

async function textOf(stream: Bun.Subprocess["stdout"]): Promise<string> {
  return stream instanceof ReadableStream ? new Response(stream).text() : "";
}
