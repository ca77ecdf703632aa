import { existsSync } from "node:fs";
import { tmpdir } from "node:os";

interface Output {
  code: number;
  /** stdout and stderr together. */
  text: string;
}

/**
 * The root file system of this machine below an overlay that takes all changes and disappears with its last
 * process. dpkg and its maintainer scripts run as root without changing this machine. Processes and cgroups
 * are those of this machine, and systemd does not run.
 */
export class InstalledSystem {
  readonly #holder: Bun.Subprocess<"pipe", "pipe", "inherit">;

  readonly #initial = new Set<string>();

  private constructor() {
    this.#holder = Bun.spawn(["unshare", "--mount", "sh", "-c", MOUNT_AND_STAY, "sh", tmpdir()], {
      stdin: "pipe",
      stdout: "pipe",
    });
  }

  static async open(): Promise<InstalledSystem> {
    const system = new InstalledSystem();
    const { value } = await system.#holder.stdout.getReader().read();
    if (value === undefined) throw new Error("the overlay could not be mounted");
    // Files of an ffrtmp on this machine do not belong to the package, which removes these.
    system.must("rm -rf /var/lib/ffrtmp* /var/lib/private/ffrtmp* /etc/ffrtmp");
    for (const path of system.#changed()) system.#initial.add(path);
    return system;
  }

  /** Runs a line of shell code in the system. */
  run(line: string, ...args: string[]): Output {
    const holder = this.#holder.pid;
    const enter = ["nsenter", `--mount=/proc/${holder}/ns/mnt`, `--root=/proc/${holder}/root`];
    const script = `exec 2>&1; cd /; ${line}`;
    // Only PATH, because the test's environment has settings of ffrtmp.
    const env = { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8" };
    const { exitCode, stdout } = Bun.spawnSync([...enter, "sh", "-c", script, "sh", ...args], { env });
    return { code: exitCode, text: stdout.toString() };
  }

  /** Like `run`, but throws when the command fails. */
  must(line: string, ...args: string[]): string {
    const { code, text } = this.run(line, ...args);
    if (code !== 0) throw new Error(`${line}: exit ${code}\n${text}`);
    return text;
  }

  dpkg(...args: string[]): string {
    // Without triggers, which only rebuild the index of all manuals.
    return this.must('DEBIAN_FRONTEND=noninteractive dpkg --no-triggers "$@"', ...args);
  }

  /** Lists the files and directories that were added or removed since the start, without dpkg's own files. */
  changes(): string[] {
    return this.#changed().filter((path) => !this.#initial.has(path));
  }

  /** Lists the paths in the overlay, without directories that this machine has too. */
  #changed(): string[] {
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

/** Returns the reason why there can be no overlay here, or `undefined`. */
export function lacksInstalledSystem(): string | undefined {
  if (process.geteuid?.() !== 0) return "needs root to install a package";
  for (const program of ["unshare", "nsenter", "dpkg"])
    if (Bun.which(program) === null) return `needs ${program}`;
  const tried = Bun.spawnSync(["unshare", "--mount", "sh", "-c", MOUNT, "sh", tmpdir()], { stderr: "pipe" });
  return tried.success ? undefined : `needs an overlay file system over /: ${tried.stderr.toString().trim()}`;
}

const LAYER = "/run/ffrtmp-layer";

/** Mounts the overlay on an existing directory, visible in its own mount namespace only. */
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
