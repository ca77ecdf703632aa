import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { lacksCommand, testIf } from "../../test/support/sandbox.ts";
import { BusConnection } from "./dbus/connection.ts";
import { type Bus, type BusProperty, busAt } from "./systemdBus.ts";

const PROGRAM = resolve(import.meta.dir, "../../test/support/programs/fakeManager.ts");
const TIMEOUT_MS = 300;
const SLICE_PROPERTIES: BusProperty[] = [
  ["PIDs", "au", [42]],
  ["AllowedCPUs", "ay", [1, 2]],
];

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-bus-"));
const servers: Bun.Subprocess[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.kill("SIGKILL");
    await server.exited;
  }
  rmSync(directory, { recursive: true, force: true });
});

/** Starts a stand-in for a manager. Returns its socket, and the lines that it prints. */
async function startManager(...args: string[]): Promise<{ path: string; lines: () => Promise<string> }> {
  await Bun.$`mkdir -p ${directory}`;
  const path = join(directory, `manager-${servers.length}`);
  const child = Bun.spawn([process.execPath, PROGRAM, path, ...args], { stdout: "pipe" });
  servers.push(child);
  const reader = child.stdout.getReader();
  const next = async (): Promise<string> => new TextDecoder().decode((await reader.read()).value);
  expect(await next()).toBe("ready\n");
  return { path, lines: next };
}

function busOf(...paths: string[]): Bus {
  return busAt(() => paths.map((path) => ({ path, kind: "manager" })), TIMEOUT_MS);
}

test("a unit is started with the properties, by their types", async () => {
  const { path, lines } = await startManager("obliging", "--print");
  expect(busOf(path).startTransientUnit("system", "x.scope", SLICE_PROPERTIES)).toBeUndefined();
  expect(JSON.parse(await lines())).toEqual({
    member: "StartTransientUnit",
    body: [
      "x.scope",
      "fail",
      [
        ["PIDs", [42]],
        ["AllowedCPUs", [1, 2]],
      ],
      [],
    ],
  });
});

test("properties are read in the order of their names", async () => {
  const { path } = await startManager();
  const names = ["DevicePolicy", "IPAddressAllow", "RestrictNetworkInterfaces"];
  expect(busOf(path).readProperties("system", "a-b.service", "Service", names)).toEqual({
    values: ["auto", [], [false, []]],
  });
});

test("calls that belong together are made over one connection, and others over one each", async () => {
  const { path } = await startManager("counting");
  const bus = busOf(path);
  const started = (on: Bus): string | undefined => on.startTransientUnit("system", "x.scope", []);
  expect([started(bus), started(bus)]).toEqual([
    "systemd: connection 1, call 1",
    "systemd: connection 2, call 1",
  ]);
  expect(bus.inOneConnection((connected) => [started(connected), started(connected)])).toEqual([
    "systemd: connection 3, call 1",
    "systemd: connection 3, call 2",
  ]);
});

test("the text of an error of the manager is the reason", async () => {
  const { path } = await startManager("knowing");
  expect(busOf(path).startTransientUnit("system", "x.scope", [])).toBe(
    "systemd: Unit x.scope was already loaded",
  );
});

test("a manager that is silent, closes, refuses or sends garbage is given up in time, with the reason", async () => {
  for (const [manner, says] of [
    ["silent", "systemd did not answer within 0.3 s"],
    ["closing", /closed the connection|EPIPE|ECONNRESET/],
    ["refusing", "authentication refused"],
    ["garbage", "malformed"],
  ] as const) {
    const { path } = await startManager(manner);
    expect(busOf(path).startTransientUnit("system", "x.scope", [])).toMatch(says);
  }
});

test("the next socket is used where there is no server, and all are named where there is none", async () => {
  const { path } = await startManager();
  const missing = join(directory, "missing");
  expect(busOf(missing, path).startTransientUnit("system", "x.scope", [])).toBeUndefined();
  expect(busOf(missing).startTransientUnit("system", "x.scope", [])).toBe(
    `systemd cannot be asked: ${missing}: ENOENT`,
  );
});

testIf(lacksCommand("dbus-daemon"))(
  "a real dbus-daemon accepts the greeting, the calls and the types",
  async () => {
    await Bun.$`mkdir -p ${directory}`;
    const path = join(directory, "bus");
    const configuration = join(directory, "bus.conf");
    writeFileSync(
      configuration,
      `<busconfig><type>session</type><listen>unix:path=${path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow own="*"/><allow eavesdrop="true"/></policy></busconfig>`,
    );
    const daemon = Bun.spawn([
      "dbus-daemon",
      `--config-file=${configuration}`,
      "--nofork",
      "--print-address",
    ]);
    servers.push(daemon);
    await daemon.stdout.getReader().read();
    const connection = BusConnection.open(path, performance.now() + 5000, process.geteuid?.() ?? 0);
    const bus = { destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus" };
    const [hello, features, missing] = connection.call([
      { ...bus, interface: bus.destination, member: "Hello", signature: "", body: [] },
      {
        ...bus,
        interface: "org.freedesktop.DBus.Properties",
        member: "Get",
        signature: "ss",
        body: [bus.destination, "Features"],
      },
      { ...bus, interface: bus.destination, member: "GetNameOwner", signature: "s", body: ["no.such.name"] },
    ]);
    connection.close();
    expect(hello).toMatchObject({ kind: "reply", body: [expect.stringMatching(/^:1\./)] });
    expect(features).toMatchObject({ kind: "reply", body: [expect.any(Array)] });
    expect(missing).toMatchObject({ kind: "error", errorName: "org.freedesktop.DBus.Error.NameHasNoOwner" });
  },
);
