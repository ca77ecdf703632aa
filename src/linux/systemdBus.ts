import { BusConnection, NoAnswer } from "./dbus/connection.ts";
import type { Call, Received } from "./dbus/message.ts";
import type { BusValue } from "./dbus/wire.ts";

/** A systemd manager: that of the machine, or that of the calling user. */
export type Manager = "system" | "user";

/** A property of a unit, with its D-Bus type. */
export type BusProperty = readonly [name: string, signature: string, value: BusValue];

export type PropertyAnswer = { values: BusValue[] } | { reason: string };

/** The D-Bus interface of systemd: org.freedesktop.systemd1(5). */
export interface Bus {
  /** Starts a transient unit. Returns why not; `undefined` means only that systemd has accepted it. */
  startTransientUnit(manager: Manager, unit: string, properties: readonly BusProperty[]): string | undefined;
  /** Reads properties of a unit, of the interface of its type, such as `Service`. */
  readProperties(manager: Manager, unit: string, type: string, names: readonly string[]): PropertyAnswer;
}

/** Time limit of one call. A manager that is reloading answers late. */
const ANSWER_TIMEOUT_MS = 5000;

const SERVICE = "org.freedesktop.systemd1";
const OBJECT = "/org/freedesktop/systemd1";
const PROPERTIES = "org.freedesktop.DBus.Properties";
const HELLO: Call = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
  member: "Hello",
  signature: "",
  body: [],
};

/** A socket at which a manager answers. */
export interface BusSocket {
  path: string;
  /** `bus`: a message bus, which wants a greeting and a destination. `manager`: the manager's own socket. */
  kind: "bus" | "manager";
}

/**
 * Returns the bus of a machine that systemd runs. host.ts requires this file when it needs it.
 * @public
 */
export function busOfSystemd(): Bus {
  return busAt(socketsOf, ANSWER_TIMEOUT_MS);
}

/**
 * The managers' own sockets first: they need no dbus-daemon. `su` and cron do not set XDG_RUNTIME_DIR, which names the
 * directory of the user's sockets.
 */
function socketsOf(manager: Manager): BusSocket[] {
  const runtime = process.env["XDG_RUNTIME_DIR"] ?? `/run/user/${process.geteuid?.() ?? 0}`;
  return manager === "system"
    ? [
        { path: "/run/systemd/private", kind: "manager" },
        { path: "/run/dbus/system_bus_socket", kind: "bus" },
      ]
    : [
        { path: `${runtime}/systemd/private`, kind: "manager" },
        { path: `${runtime}/bus`, kind: "bus" },
      ];
}

/** Returns a bus that uses the first socket at which a server answers. */
export function busAt(sockets: (manager: Manager) => BusSocket[], timeoutMs: number): Bus {
  const ask = (manager: Manager, calls: Call[]): { answers: Received[] } | { reason: string } => {
    const reasons: string[] = [];
    const deadline = performance.now() + timeoutMs;
    for (const socket of sockets(manager)) {
      try {
        const answers = askAt(socket, calls, deadline);
        const refusal = answers.find(({ kind }) => kind === "error");
        return refusal ? { reason: `systemd: ${errorText(refusal)}` } : { answers };
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        if (error.message === "ETIMEDOUT")
          return { reason: `systemd did not answer within ${timeoutMs / 1000} s` };
        reasons.push(`${socket.path}: ${error.message}`);
      }
    }
    return { reason: `systemd cannot be asked: ${reasons.join("; ")}` };
  };
  return {
    startTransientUnit(manager, unit, properties) {
      const variants = properties.map(([name, signature, value]): BusValue[] => [name, { signature, value }]);
      const start = {
        path: OBJECT,
        interface: `${SERVICE}.Manager`,
        member: "StartTransientUnit",
        signature: "ssa(sv)a(sa(sv))",
        body: [unit, "fail", variants, []],
      };
      const answer = ask(manager, [start]);
      return "reason" in answer ? answer.reason : undefined;
    },
    readProperties(manager, unit, type, names) {
      const calls = names.map((name) => ({
        path: `${OBJECT}/unit/${escapeForBus(unit)}`,
        interface: PROPERTIES,
        member: "Get",
        signature: "ss",
        body: [`${SERVICE}.${type}`, name],
      }));
      const answer = ask(manager, calls);
      return "reason" in answer ? answer : { values: answer.answers.map(({ body }) => body[0] as BusValue) };
    },
  };
}

function askAt({ path, kind }: BusSocket, calls: Call[], deadline: number): Received[] {
  const connection = BusConnection.open(path, deadline, process.geteuid?.() ?? 0);
  try {
    if (kind === "manager") return connection.call(calls);
    const addressed = calls.map((call) => ({ ...call, destination: SERVICE }));
    return connection.call([HELLO, ...addressed]).slice(1);
  } finally {
    connection.close();
  }
}

/** An error has its text as the first value. */
function errorText({ errorName, body: [text] }: Received): string {
  return typeof text === "string" && text !== "" ? text : (errorName ?? "unknown error");
}

/** Encodes a unit name for an object path: `a-b.scope` → `a_2db_2escope`. Source: sd_bus_path_encode(3). */
function escapeForBus(unit: string): string {
  return unit.replace(/[^A-Za-z0-9]|^[0-9]/g, (character) => `_${Buffer.from(character).toString("hex")}`);
}
