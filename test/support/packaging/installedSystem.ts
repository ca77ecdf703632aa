import { existsSync } from "node:fs";
import { tmpdir } from "node:os";

export interface Told {
  code: number;
  /** What it wrote, to whichever of its outputs. */
  text: string;
}

/**
 * This machine's own system with a layer over it that takes every change, and goes away with the last process in it:
 * dpkg and its maintainer scripts run for real, as root, and nothing of this machine is changed. Processes and cgroups
 * are this machine's. systemd is not there.
 */
export class InstalledSystem {
  readonly #holder: Bun.Subprocess<"pipe", "pipe", "inherit">;

  readonly #atFirst = new Set<string>();

  private constructor() {
    this.#holder = Bun.spawn(["unshare", "--mount", "sh", "-c", MOUNT_AND_STAY, "sh", tmpdir()], {
      stdin: "pipe",
      stdout: "pipe",
    });
  }

  static async begin(): Promise<InstalledSystem> {
    const system = new InstalledSystem();
    const { value } = await system.#holder.stdout.getReader().read();
    if (value === undefined) throw new Error("no layer could be laid over this system");
    // What an ffrtmp of this machine's own has left is not the package's.
    system.must("rm -rf /var/lib/ffrtmp");
    for (const path of system.#touched()) system.#atFirst.add(path);
    return system;
  }

  /** Runs a command in it to its end, as a shell would take it. */
  run(line: string, ...args: string[]): Told {
    const holder = this.#holder.pid;
    const enter = ["nsenter", `--mount=/proc/${holder}/ns/mnt`, `--root=/proc/${holder}/root`];
    const script = `exec 2>&1; cd /; ${line}`;
    // Nothing of ours but PATH: what a test's own environment says of ffrtmp is not the system's.
    const env = { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8" };
    const { exitCode, stdout } = Bun.spawnSync([...enter, "sh", "-c", script, "sh", ...args], { env });
    return { code: exitCode, text: stdout.toString() };
  }

  /** Like `run`, and throws unless it succeeds. */
  must(line: string, ...args: string[]): string {
    const { code, text } = this.run(line, ...args);
    if (code !== 0) throw new Error(`${line}: exit ${code}\n${text}`);
    return text;
  }

  dpkg(...args: string[]): string {
    // Triggers rebuild the index of all manuals: nothing of ours.
    return this.must('DEBIAN_FRONTEND=noninteractive dpkg --no-triggers "$@"', ...args);
  }

  /** Every file and directory that is there and was not at the beginning, or the other way round; dpkg's records aside. */
  changes(): string[] {
    return this.#touched().filter((path) => !this.#atFirst.has(path));
  }

  /** A directory that the machine has too is in the layer for what was done in it, and lists itself. */
  #touched(): string[] {
    const own = /^\/(var\/lib\/dpkg|var\/log|var\/cache|tmp)(\/|$)/;
    const listed = this.must(`cd ${LAYER}/upper && find . -mindepth 1 -printf '%y %p\\n'`);
    return listed
      .split("\n")
      .map((line) => ({ isDirectory: line.startsWith("d"), path: line.slice(3) }))
      .filter(({ isDirectory, path }) => path !== "" && !own.test(path) && !(isDirectory && existsSync(path)))
      .map(({ path }) => path);
  }

  async close(): Promise<void> {
    this.#holder.stdin.end();
    await this.#holder.exited;
  }
}

/** Why there can be none here; `undefined` when there can. */
export function lacksInstalledSystem(): string | undefined {
  if (process.geteuid?.() !== 0) return "needs root, to install a package";
  for (const program of ["unshare", "nsenter", "dpkg"])
    if (Bun.which(program) === null) return `needs ${program}`;
  const tried = Bun.spawnSync(["unshare", "--mount", "sh", "-c", MOUNT, "sh", tmpdir()], { stderr: "pipe" });
  return tried.success ? undefined : `no overlay file system over / here: ${tried.stderr.toString().trim()}`;
}

const LAYER = "/run/ffrtmp-layer";

/** Mounted where nobody else sees it: a directory that is there anyway will do. */
const MOUNT = `set -e
mount -t tmpfs -o size=2g,mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"`;

const MOUNT_AND_STAY = `${MOUNT}
for each in proc sys dev; do mount --rbind "/$each" "$1/root/$each"; done
mount -t tmpfs -o mode=755 tmpfs "$1/root/run"
mkdir "$1/root${LAYER}"
mount --bind "$1" "$1/root${LAYER}"
exec chroot "$1/root" sh -c 'echo ready; read line || :'`;
