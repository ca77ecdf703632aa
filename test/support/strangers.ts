import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Sandbox } from "./sandbox.ts";

/** The uid of a user with nothing of its own: nobody. */
export const STRANGER = 65534;

/** Returns a command as another user runs it, without any group of ours. */
export function asStranger(command: string[]): string[] {
  return ["setpriv", `--reuid=${STRANGER}`, `--regid=${STRANGER}`, "--clear-groups", ...command];
}

/** Locks a whole file until the end of the test. Returns "locked", or the refusal. */
export async function lock(
  sandbox: Sandbox,
  kind: "read" | "write" | "flock",
  path: string,
  as: (command: string[]) => string[] = asStranger,
): Promise<{ answer: string; process: Bun.Subprocess }> {
  const program = join(import.meta.dir, "programs/lockFile.pl");
  const process = sandbox.spawn(as(["perl", program, kind, path]));
  const reader = (process.stdout as ReadableStream<Uint8Array>).getReader();
  const { value } = await reader.read();
  return { answer: new TextDecoder().decode(value).trim(), process };
}

/** Describes every file below a directory: its type, mode, owner and content. */
export function snapshot(directory: string): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (path: string): void => {
    const stat = lstatSync(path);
    const facts = `${stat.mode.toString(8)} ${stat.uid}:${stat.gid}`;
    found[path] = stat.isFile() ? `${facts} ${readFileSync(path, "base64")}` : facts;
    if (stat.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
  };
  visit(directory);
  return found;
}
