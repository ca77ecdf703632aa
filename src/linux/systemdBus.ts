import { existsSync } from "node:fs";
import { describeErrno } from "../sys/errno.ts";

/** A systemd manager: that of the machine, or that of the calling user. */
export type Manager = "system" | "user";

/** An answer of the bus, as busctl(1) prints it, or why there is none. */
export type BusAnswer = { answer: string } | { reason: string };

/** The D-Bus interface of systemd. It runs busctl(1): two methods do not justify a D-Bus library. */
export interface Bus {
  /** Calls a method of the manager object. `words`: the method, its signature and arguments, as for busctl. */
  callManager(manager: Manager, words: string[]): BusAnswer;
  /** Reads properties of a unit, one line each, as busctl prints them. */
  readProperties(manager: Manager, unit: string, type: string, names: string[]): BusAnswer;
}

/** Time limit of one call. A manager that is reloading answers late. */
const ANSWER_TIMEOUT_MS = 5000;

const SERVICE = "org.freedesktop.systemd1";
const OBJECT = "/org/freedesktop/systemd1";

/** Returns the bus, or `undefined` where systemd does not run the machine: sd_booted(3). */
export function findBus(): Bus | undefined {
  return existsSync("/run/systemd/system") ? busctl(["busctl"], ANSWER_TIMEOUT_MS) : undefined;
}

/** Returns a bus that runs `command` in place of busctl. */
export function busctl(command: string[], timeoutMs: number): Bus {
  const run = (manager: Manager, verb: string, path: string, type: string, words: string[]): BusAnswer => {
    const options = [...(manager === "user" ? ["--user"] : []), `--timeout=${timeoutMs / 1000}`];
    const cmd = [...command, ...options, verb, SERVICE, `${OBJECT}${path}`, `${SERVICE}.${type}`, ...words];
    const env = environmentOf(manager);
    let child: Bun.SyncSubprocess<"pipe", "pipe">;
    try {
      // --timeout limits the answer of the bus; this timeout ends a client that hangs before that.
      child = Bun.spawnSync({ cmd, env, stdio: ["ignore", "pipe", "pipe"], timeout: timeoutMs + 1000 });
    } catch (error) {
      return { reason: `cannot run ${cmd[0]}: ${describeErrno(error)}` };
    }
    if (child.exitedDueToTimeout)
      return { reason: `systemd's bus did not answer within ${timeoutMs / 1000} s` };
    if (child.exitCode === 0) return { answer: child.stdout.toString().trim() };
    const message = child.stderr.toString().trim().split("\n").at(-1);
    const exit = `${cmd[0]} exited with ${child.exitCode ?? child.signalCode}`;
    return { reason: `systemd's bus: ${message || exit}` };
  };
  return {
    callManager: (manager, words) => run(manager, "call", "", "Manager", words),
    readProperties: (manager, unit, type, names) =>
      run(manager, "get-property", `/unit/${escapeForBus(unit)}`, type, names),
  };
}

/** Adds XDG_RUNTIME_DIR, which names the directory of the user's bus: `su` and cron do not set it. */
function environmentOf(manager: Manager): Record<string, string | undefined> {
  if (manager === "system" || process.env["XDG_RUNTIME_DIR"] !== undefined) return process.env;
  return { ...process.env, XDG_RUNTIME_DIR: `/run/user/${process.geteuid?.() ?? 0}` };
}

/** Encodes a unit name for an object path: `a-b.scope` → `a_2db_2escope`. Source: sd_bus_path_encode(3). */
function escapeForBus(unit: string): string {
  return unit.replace(/[^A-Za-z0-9]|^[0-9]/g, (character) => `_${Buffer.from(character).toString("hex")}`);
}
