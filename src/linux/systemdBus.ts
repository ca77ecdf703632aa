import { existsSync } from "node:fs";

/** Which manager is meant: the machine's, or that of the calling user's session. */
export type Manager = "system" | "user";

/** What the bus answered, as busctl(1) prints it, or why there is no answer. */
export type BusAnswer = { answer: string } | { reason: string };

/** systemd's own client of its bus: we need two methods of it, which makes no library of our own worth its weight. */
export interface Bus {
  /** Calls a method of the manager object. `words`: the method, its signature, and its arguments, as busctl takes them. */
  callManager(manager: Manager, words: string[]): BusAnswer;
  /** Properties of a unit, one line each, as busctl prints them. */
  readProperties(manager: Manager, unit: string, type: string, names: string[]): BusAnswer;
}

/** How long a call may take. A manager that is about to reload everything answers late, not never. */
const ANSWER_TIMEOUT_MS = 5000;

const SERVICE = "org.freedesktop.systemd1";
const OBJECT = "/org/freedesktop/systemd1";

/** `undefined` where systemd does not run the machine: sd_booted(3). */
export function findBus(): Bus | undefined {
  return existsSync("/run/systemd/system") ? busctl(["busctl"], ANSWER_TIMEOUT_MS) : undefined;
}

export function busctl(command: string[], timeoutMs: number): Bus {
  const run = (manager: Manager, words: string[]): BusAnswer => {
    const options = [...(manager === "user" ? ["--user"] : []), `--timeout=${timeoutMs / 1000}`];
    return runClient([...command, ...options, ...words], environmentOf(manager), timeoutMs);
  };
  return {
    callManager: (manager, words) => run(manager, ["call", SERVICE, OBJECT, `${SERVICE}.Manager`, ...words]),
    readProperties: (manager, unit, type, names) =>
      run(manager, [
        "get-property",
        SERVICE,
        `${OBJECT}/unit/${escapeForBus(unit)}`,
        `${SERVICE}.${type}`,
        ...names,
      ]),
  };
}

function runClient(cmd: string[], env: Record<string, string | undefined>, timeoutMs: number): BusAnswer {
  let child: Bun.SyncSubprocess<"pipe", "pipe">;
  try {
    // The client's own limit is for answers of the bus; this one is for a client that is stuck before that.
    child = Bun.spawnSync({
      cmd,
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: timeoutMs + 1000,
    });
  } catch (error) {
    return { reason: `cannot run ${cmd[0]}: ${error instanceof Error ? error.message : error}` };
  }
  if (child.exitedDueToTimeout) {
    return { reason: `systemd's bus did not answer within ${timeoutMs / 1000} s` };
  }
  if (child.exitCode !== 0) {
    const said = child.stderr.toString().trim().split("\n").at(-1);
    return {
      reason: `systemd's bus: ${said || `${cmd[0]} ended with ${child.exitCode ?? child.signalCode}`}`,
    };
  }
  return { answer: child.stdout.toString().trim() };
}

/** A login by `su` or cron leaves out where the user's bus is; it is always in the same place. */
function environmentOf(manager: Manager): Record<string, string | undefined> {
  if (manager === "system" || process.env["XDG_RUNTIME_DIR"] !== undefined) return process.env;
  return { ...process.env, XDG_RUNTIME_DIR: `/run/user/${process.geteuid?.() ?? 0}` };
}

/** `a-b.scope` → `a_2db_2escope`. Source: sd_bus_path_encode(3). */
function escapeForBus(unit: string): string {
  return unit.replace(
    /[^A-Za-z0-9]|^[0-9]/g,
    (character) => `_${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
