import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { realHost } from "../../src/linux/host.ts";
import { readStat } from "../../src/linux/proc/stat.ts";
import { eventually, readProc, until } from "./sandbox.ts";

const host = realHost();

/** Why a test cannot have a kernel thread as PID 2; `undefined` when it can. */
export function lacksKernelThreads(): string | undefined {
  const stat = readStat(host, 2);
  return stat !== "gone" && stat.isKernelThread ? undefined : "no kernel thread is visible here";
}

/**
 * Starts a process that ends, and a parent that never collects it: the process ends only when the parent is no longer
 * a shell, which might collect it. `file` is where the shell writes the PID of the child. `shell` names the zombie too.
 */
export async function startZombie(
  spawn: (cmd: string[]) => { pid: number },
  file: string,
  shell = "sh",
): Promise<{ parent: number; child: number }> {
  const lifeOfChild = `until [ "$(cat /proc/$$/comm)" = sleep ]; do :; done`;
  const { pid: parent } = spawn([shell, "-c", `(${lifeOfChild}) & echo $! > '${file}'; exec sleep 600`]);
  const child = await eventually("there is a child", () => {
    try {
      return Number(readFileSync(file, "utf8")) || undefined;
    } catch {
      return undefined;
    }
  });
  await until("the parent is one that does not collect", () => readProc(parent, "comm") === "sleep\n");
  await until("the child has ended", () => {
    const stat = readStat(host, child);
    return stat !== "gone" && stat.state === "Z";
  });
  return { parent, child };
}

// SigCgt:	0000000080004002   ← bit N - 1 is signal N
/** Whether a process has installed its own handlers of these signals. A program that has just started has none. */
export function handlesSignals(pid: number, ...signals: NodeJS.Signals[]): boolean {
  const mask = BigInt(
    `0x${/^SigCgt:\s+([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0"}`,
  );
  return signals.every((signal) => ((mask >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n);
}
