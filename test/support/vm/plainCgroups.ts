import { afterEach } from "bun:test";
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { type Ended, FFRTMP, type Sandbox, until } from "../sandbox.ts";

const TOP = "/sys/fs/cgroup";

/** Cgroups that belong to no unit, as on a machine without systemd. */
export interface PlainCgroups {
  /** The cgroup above the caller's, without processes of its own. */
  parent: string;
  /** The cgroup of the process that runs ffrtmp. */
  caller: string;
  /** Reads a file of one of these cgroups, trimmed. */
  read(file: string): string;
  write(file: string, text: string): void;
  /** The names of the cgroups in `parent`. */
  children(): string[];
  /** Gives a cgroup to another user, as "Model of Delegation" of cgroup-v2.rst says. */
  delegate(directory: string, uid: number): void;
}

/** Returns plain cgroups that are removed with their processes after each test. `parent` gives these controllers. */
export function usePlainCgroups(): (controllers?: string[]) => PlainCgroups {
  const undo: (() => unknown)[] = [];
  afterEach(async () => {
    while (undo.length > 0) await undo.pop()?.();
  });
  return (controllers = ["cpu", "memory", "io", "pids"]) => {
    const control = `${TOP}/cgroup.subtree_control`;
    const before = words(control);
    writeFileSync(control, "+cpu +memory +io +pids");
    undo.push(() => {
      for (const name of words(control).filter((each) => !before.includes(each))) {
        writeFileSync(control, `-${name}`);
      }
    });
    const parent = `${TOP}/plain-${process.pid}`;
    const caller = `${parent}/caller`;
    mkdirSync(parent);
    undo.push(() => removeAll(parent));
    for (const name of controllers) writeFileSync(`${parent}/cgroup.subtree_control`, `+${name}`);
    mkdirSync(caller);
    return {
      parent,
      caller,
      read: (file) => readFileSync(file, "utf8").trim(),
      write: (file, text) => writeFileSync(file, text),
      children: () => directoriesIn(parent),
      delegate(directory, uid) {
        const files = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
        for (const path of ["", ...files.map((file) => `/${file}`)]) chownSync(directory + path, uid, uid);
      },
    };
  };
}

export interface PlainOptions {
  uid?: number;
  /** Options of unshare(1) beside --mount. */
  unshare?: string[];
  /** Shell code before the script, as root. */
  before?: string;
}

/**
 * Starts a shell script in a cgroup, with a view of the machine in which no systemd runs. In the script `$ffrtmp` is the
 * executable, with the sandbox's state directory.
 */
export function startPlain(
  sandbox: Sandbox,
  cgroup: string,
  script: string,
  { uid = 0, unshare = [], before = "" }: PlainOptions = {},
): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  const user = uid === 0 ? "" : `setpriv --reuid ${uid} --regid ${uid} --clear-groups `;
  const hidden = `set -e
mount -t tmpfs tmpfs /run/systemd
${before}
export ffrtmp=${FFRTMP}
exec ${user}sh -ec "$1"`;
  const words = ["unshare", "--mount", ...unshare, "sh", "-c", hidden, "sh", script];
  return sandbox.spawn([
    "sh",
    "-c",
    `echo 0 >${cgroup}/cgroup.procs && exec "$@"`,
    "sh",
    ...words,
  ]) as Bun.Subprocess<"ignore", "pipe", "pipe">;
}

/** Runs a script as `startPlain` does, to its end. */
export async function runPlain(...args: Parameters<typeof startPlain>): Promise<Ended> {
  const child = startPlain(...args);
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, stdout, stderr };
}

function words(file: string): string[] {
  return readFileSync(file, "utf8").split(/\s+/).filter(Boolean);
}

function directoriesIn(path: string): string[] {
  const entries = readdirSync(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function removeAll(directory: string): Promise<void> {
  await until(`${directory} is removed`, () => {
    removeOnce(directory);
    return !existsSync(directory);
  });
}

function removeOnce(directory: string): void {
  for (const name of directoriesIn(directory)) removeOnce(`${directory}/${name}`);
  try {
    for (const pid of words(`${directory}/cgroup.procs`).map(Number)) process.kill(pid, "SIGKILL");
    rmdirSync(directory);
  } catch {
    // A process in it has not ended yet, and the caller tries again.
  }
}
