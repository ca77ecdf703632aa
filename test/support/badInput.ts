import { expect } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type Ended, FFRTMP, type Sandbox, type SpawnOptions, testIf, until } from "./sandbox.ts";

/** One way to use ffrtmp wrongly, and what it has to answer. */
export interface Misuse {
  name: string;
  args: string[];
  /** 125 for `run`, 2 for the other commands, where it is not said. */
  code?: number;
  /** Each has to be found. */
  stderr: RegExp[];
  /** Why this machine cannot show it. */
  unless?: string | undefined;
}

/** One test for each: the right code, a clear message, silence on stdout, and nothing half done. */
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

/** Signed, in whole lines, and no dump of our own insides. */
export function expectMessage(stderr: string, patterns: RegExp[]): void {
  for (const pattern of patterns) expect(stderr).toMatch(pattern);
  expect(stderr).toMatch(/^ffrtmp: /);
  expect(stderr).toEndWith("\n");
  expect(stderr).not.toMatch(/internal error|\$bunfs/);
}

/** No job on record, not even an ended one; no cgroup, no process, no log. */
export async function expectNothingDone(sandbox: Sandbox): Promise<void> {
  expect(sandbox.cgroups()).toEqual([]);
  // The background copy has told its reason, and ends.
  await until("no process is left", () => processesOf(sandbox).length === 0);
  const isThere = existsSync(sandbox.state);
  expect(isThere ? await sandbox.json(["ps"]) : []).toEqual([]);
  expect(isThere ? await sandbox.json(["history"]) : []).toEqual([]);
  expect(existsSync(`${sandbox.state}/logs`) ? readdirSync(`${sandbox.state}/logs`) : []).toEqual([]);
}

/** Every process that was started with the sandbox's state directory in its environment. */
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

/** A mount namespace of its own: what is mounted there goes with the process, and nobody else sees it. */
export const PRIVATE_MOUNTS = ["unshare", "--mount", "--propagation", "private"];

function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    // Gone, or not ours.
    return [];
  }
}

async function textOf(stream: Bun.Subprocess["stdout"]): Promise<string> {
  return stream instanceof ReadableStream ? new Response(stream).text() : "";
}
