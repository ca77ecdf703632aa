import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mounted } from "./cgroups.ts";
import { eventually, type Processes } from "./processes.ts";

const SOCKET = "/var/run/cgred.socket";

/**
 * Starts cgrulesengd with one rule: processes of this name go into this group. It reads /etc/cgrules.conf and no other
 * file, so it runs in a mount namespace with an /etc of its own.
 */
export async function startRulesDaemon(
  processes: Processes,
  hierarchies: Mounted[],
  processName: string,
  group: string,
): Promise<{ child: Bun.Subprocess; cleanUp: () => void }> {
  if (isBound(SOCKET)) throw new Error(`${SOCKET} is in use: a cgrulesengd runs already, stop it first`);
  rmSync(SOCKET, { force: true });
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-bench-rules-"));
  // It requires the files of cgconfigparser too.
  for (const name of ["etc/cgconfig.d", "etc/cgrules.d", "work"])
    mkdirSync(join(directory, name), { recursive: true });
  writeFileSync(join(directory, "etc/cgconfig.conf"), "");
  writeFileSync(join(directory, "etc/cgrules.conf"), rulesFor(hierarchies, processName, group));
  const overlay = `lowerdir=/etc,upperdir=${directory}/etc,workdir=${directory}/work`;
  const child = processes.start([
    ...["unshare", "--mount", "--propagation", "private", "sh", "-c"],
    `mount -t overlay -o "${overlay}" overlay /etc && PATH=$PATH:/usr/sbin exec cgrulesengd -n -Q`,
  ]);
  await eventually("cgrulesengd is ready", () => existsSync(SOCKET) || undefined);
  const cleanUp = (): void => {
    rmSync(SOCKET, { force: true });
    rmSync(directory, { recursive: true, force: true });
  };
  return { child, cleanUp };
}

/** A daemon that was killed leaves the file of its socket. Source: /proc/net/unix, proc_net(5). */
function isBound(socket: string): boolean {
  return readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .some((line) => line.endsWith(` ${socket}`));
}

// *:ffmpeg  cpu,pids  group
// %         memory    deeper/group
function rulesFor(hierarchies: Mounted[], processName: string, group: string): string {
  const byPath = Map.groupBy(hierarchies, ({ path }) => path.replace(/^\/$/, "").replace(/^\//, ""));
  const lines = [...byPath].map(([path, mounted], index) => {
    const controllers = mounted.flatMap((hierarchy) => hierarchy.controllers).join();
    return `${index === 0 ? `*:${processName}` : "%"} ${controllers} ${path === "" ? group : `${path}/${group}`}`;
  });
  return `${lines.join("\n")}\n`;
}
