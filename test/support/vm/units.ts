import { afterEach } from "bun:test";
import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { until } from "../sandbox.ts";

export interface Units {
  /** The names of the running units. */
  readonly names: ReadonlySet<string>;
  /**
   * Starts a unit by systemd-run that runs a shell script. Waits for a process in it with the name `comm` and
   * returns its PID.
   */
  start(name: string, options: string[], script: string, comm: string): Promise<number>;
  /** Stops a unit before the end of the test. */
  stop(unit: string): void;
  /** Calls `undo` after the test, before the units that were started earlier are stopped. */
  after(undo: () => unknown): void;
}

/** Returns units that are stopped after each test. */
export function useUnits(): Units {
  const clean: (() => unknown)[] = [];
  const names = new Set<string>();
  afterEach(async () => {
    while (clean.length > 0) await clean.pop()?.();
  });
  return {
    names,
    after: (undo) => clean.push(undo),
    stop(unit) {
      systemctl("stop", unit);
      names.delete(unit);
    },
    async start(name, options, script, comm) {
      const unit = `${name}.${options.includes("--scope") ? "scope" : "service"}`;
      const words = ["systemd-run", "--quiet", "--collect", "--unit", unit, ...options, "sh", "-c", script];
      const child = Bun.spawn(words, { stdio: ["ignore", "ignore", "ignore"] });
      names.add(unit);
      clean.push(() => names.delete(unit));
      clean.push(async () => {
        Bun.spawnSync(["systemctl", "stop", unit]);
        child.kill("SIGKILL");
        await child.exited;
      });
      let pid = 0;
      await until(`${unit} runs ${comm}`, () => {
        pid = processesOf(unit).find((each) => readText(`/proc/${each}/comm`).trim() === comm) ?? 0;
        return pid !== 0;
      });
      return pid;
    },
  };
}

/** Returns the cgroup directory of a unit, or `undefined` while it has none. */
export function directoryOfUnit(unit: string): string | undefined {
  const path = Bun.spawnSync(["systemctl", "show", "-P", "ControlGroup", unit]).stdout.toString().trim();
  return path === "" ? undefined : `/sys/fs/cgroup${path}`;
}

function processesOf(unit: string): number[] {
  const directory = directoryOfUnit(unit);
  return directory === undefined ? [] : readText(`${directory}/cgroup.procs`).split("\n").map(Number);
}

export function systemctl(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["systemctl", ...words]);
  if (exitCode !== 0) throw new Error(`systemctl ${words.join(" ")}: ${stderr}`);
}

/** Reads the limits of all cgroups, and all properties of the units, none of which ffrtmp may change. */
export function snapshot(units: Iterable<string>): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (directory: string): void => {
    for (const entry of listEntries(directory)) {
      const path = `${directory}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (
        /\.(max|high|low|min|weight|idle|cpus|mems|type|subtree_control|controllers)$/.test(entry.name)
      )
        found[path] = readText(path);
    }
  };
  walk("/sys/fs/cgroup");
  for (const unit of units) found[unit] = properties(unit);
  return found;
}

/**
 * Takes a snapshot after systemd has disabled the controllers that it enabled for units that have ended, which it does
 * only with the next change of its units.
 */
export async function settledSnapshot(): Promise<Record<string, string>> {
  systemctl("daemon-reload");
  Bun.spawnSync(["systemd-run", "--quiet", "--wait", "--collect", "true"]);
  let before = snapshot([]);
  await until("systemd changes no cgroup", async () => {
    await Bun.sleep(300);
    const now = snapshot([]);
    const isSettled = Bun.deepEquals(now, before);
    before = now;
    return isSettled;
  });
  return before;
}

/** Lists a directory. Returns nothing when systemd has just removed it. */
function listEntries(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}

/**
 * Waits until everything is as before, because systemd removes empty scopes late. Returns the differences.
 */
export async function differencesFrom(
  before: Record<string, string>,
  units: Iterable<string>,
): Promise<Record<string, string[]>> {
  for (let tries = 0; tries < 30 && !Bun.deepEquals(snapshot(units), before); tries++) await Bun.sleep(100);
  return changed(snapshot(units), before);
}

/** Reads the properties of a unit, without those that change by themselves. */
function properties(unit: string): string {
  const { stdout } = Bun.spawnSync(["systemctl", "show", unit]);
  return stdout
    .toString()
    .split("\n")
    .filter(
      (line) =>
        !/^(CPUUsageNSec|StateChangeTimestamp\w*|MemoryCurrent|TasksCurrent|IO(Read|Write)\w+|MemoryAvailable|IP\w+|EffectiveCPUs|EffectiveMemoryNodes)=/.test(
          line,
        ),
    )
    .join("\n");
}

/** Lists the lines that differ by file or unit. */
function changed(now: Record<string, string>, before: Record<string, string>): Record<string, string[]> {
  const names = [...new Set([...Object.keys(now), ...Object.keys(before)])];
  const linesOf = (text = "absent"): string[] => text.split("\n");
  return Object.fromEntries(
    names
      .filter((name) => now[name] !== before[name])
      .map((name) => [name, linesOf(now[name]).filter((line) => !linesOf(before[name]).includes(line))]),
  );
}

export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "unreadable";
  }
}
