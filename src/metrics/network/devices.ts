import { statSync } from "node:fs";
import { type Host, readProcFile } from "../../linux/host.ts";
import { listPids, visible } from "../../linux/proc/table.ts";

/** The bytes that the devices of a network namespace have moved since they exist, of all protocols. */
export interface DeviceBytes {
  readonly received: number;
  readonly sent: number;
}

//   eth0: 1296 14 0 0 0 0 0 0 816 9 0 0 0 0 0 0     ← received bytes first, sent bytes ninth: proc_pid_net(5)
/** Adds up the devices of /proc/PID/net/dev, without the loopback, on which nothing leaves the namespace. */
export function parseDevices(text: string): DeviceBytes {
  let [received, sent] = [0, 0];
  for (const [, device, values = ""] of text.matchAll(/^ *([^ :]+): *(.*)$/gm)) {
    const counters = values.split(/ +/).map(Number);
    if (device === "lo" || counters.length < 9) continue;
    received += counters[0] as number;
    sent += counters[8] as number;
  }
  return { received, sent };
}

export function readDevices(host: Host, pid: number): DeviceBytes | undefined {
  const text = visible(() => readProcFile(host, `${pid}/net/dev`));
  return text === undefined ? undefined : parseDevices(text);
}

/**
 * Returns whether all these processes and no others are in the network namespace of the first one. Namespaces are compared
 * by the inode number of /proc/PID/net/dev, which each namespace has its own of (proc_register(), fs/proc/generic.c): it
 * is visible for every process, ns/net is not.
 */
export function haveNamespaceAlone(host: Host, pids: readonly number[]): boolean {
  const own = new Set(pids);
  const [first] = pids;
  const namespace = first === undefined ? undefined : deviceFileOf(host, first);
  if (namespace === undefined) return false;
  return listPids(host).every((pid) => {
    const other = deviceFileOf(host, pid);
    return own.has(pid) ? other === namespace || other === undefined : other !== namespace;
  });
}

/** Returns `undefined` for a process that has ended. */
function deviceFileOf({ procRoot }: Host, pid: number): number | undefined {
  try {
    return statSync(`${procRoot}/${pid}/net/dev`).ino;
  } catch {
    return undefined;
  }
}
