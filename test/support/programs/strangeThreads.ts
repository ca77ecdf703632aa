/**
 * Runs a process with unusual threads. The argument selects what they do:
 * - `leader-exits`: the first thread exits alone with status 0; another thread ends the process with status
 *   5.
 * - `thread-execs`: a thread other than the first executes a shell, which exits with status 6.
 * - `thread-ends`: another thread exits alone with status 7; then the first one ends the process with status
 *   0.
 */
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { addressOf, syscall } from "../../../src/sys/libc.ts";

const PAUSE_MS = 200;

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
}

function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

function runShell(script: string): void {
  const strings = ["sh", "-c", script].map(cString);
  const pointers = new BigUint64Array([...strings.map((string) => BigInt(addressOf(string))), 0n]);
  syscall("execve", cString("/bin/sh"), pointers, new BigUint64Array(1));
  syscall("exit_group", strings.length);
}

async function runFirstThread(part: string): Promise<void> {
  const ready = Promise.withResolvers<void>();
  new Worker(new URL(import.meta.url), { workerData: part }).on("message", () => ready.resolve());
  await ready.promise;
  process.stdout.write("ready\n");
  if (part === "leader-exits") syscall("exit", 0);
  await Bun.sleep(2 * PAUSE_MS);
  syscall("exit_group", 0);
}

async function runOtherThread(part: string): Promise<void> {
  const { parentPort } = await import("node:worker_threads");
  parentPort?.postMessage("ready");
  pause();
  if (part === "leader-exits") syscall("exit_group", 5);
  if (part === "thread-execs") runShell("sleep 0.1; exit 6");
  if (part === "thread-ends") syscall("exit", 7);
}

if (isMainThread) await runFirstThread(process.argv[2] ?? "");
else await runOtherThread(String(workerData));
