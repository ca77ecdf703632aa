import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Units } from "./units.ts";

/**
 * Starts a container of crun that runs a script of busybox, with `bundle/rootfs` as its root. Returns the PID
 * of its first process. The container is removed after the test. `resources`: OCI runtime specification,
 * config-linux.md.
 */
export async function startCrun(
  units: Units,
  bundle: string,
  script: string,
  resources: object,
): Promise<number> {
  mkdirSync(`${bundle}/rootfs/bin`, { recursive: true });
  mkdirSync(`${bundle}/rootfs/proc`);
  mkdirSync(`${bundle}/rootfs/dev`);
  Bun.spawnSync(["cp", "/bin/busybox", `${bundle}/rootfs/bin/busybox`]);
  Bun.spawnSync(["crun", "spec"], { cwd: bundle });
  const spec = JSON.parse(readFileSync(`${bundle}/config.json`, "utf8"));
  spec.process.args = ["/bin/busybox", "sh", "-c", script];
  spec.process.terminal = false;
  spec.root.readonly = false;
  spec.linux.resources = resources;
  writeFileSync(`${bundle}/config.json`, JSON.stringify(spec));
  const id = `ffrtmp-owner-${process.pid}`;
  const child = Bun.spawn(["crun", "run", "--detach", "--pid-file", `${bundle}/pid`, id], {
    cwd: bundle,
    stdio: ["ignore", "ignore", "pipe"],
  });
  units.after(() => {
    Bun.spawnSync(["crun", "delete", "--force", id]);
    rmSync(bundle, { recursive: true, force: true });
  });
  if ((await child.exited) !== 0) throw new Error(await child.stderr.text());
  return Number(readFileSync(`${bundle}/pid`, "utf8"));
}
