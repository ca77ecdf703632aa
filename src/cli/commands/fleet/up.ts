import { statSync } from "node:fs";
import { hubUrl } from "../../../fleet/hub/address.ts";
import { connectAsAdmin } from "../../../fleet/hub/admin.ts";
import { HubRefusal } from "../../../fleet/hub/connection.ts";
import { FleetDirectory, locateFleet, poolsOf } from "../../../fleet/hub/fleetDirectory.ts";
import { HubProcess } from "../../../fleet/hub/hubProcess.ts";
import { findNatsServer, isAtLeast } from "../../../fleet/hub/natsServer.ts";
import { HUB_FILES } from "../../../fleet/hub/serverConfig.ts";
import { ensureStreams } from "../../../fleet/hub/streams.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { watchPath } from "../../../linux/fileWatch.ts";
import { firstSignal } from "../../../sys/ownSignals.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { signalNumber } from "../../../sys/waitStatus.ts";
import { printErr, printOut, warn } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";

const LOOPBACK = "127.0.0.1";
/** A hub answers within a second. */
const SLOW_MS = 5000;
/** Ctrl-C reaches the server too, and the runtime may report its end before the signal. */
const SIGNAL_DELAY_MS = 200;

/** Runs nats-server in the foreground until a signal, with the streams of a fleet. */
export async function up(flags: FleetFlags & { natsServer?: string }): Promise<number> {
  const directory = new FleetDirectory(locateFleet(flags.dir));
  const { hub, servers, closed } = directory.read();
  if (servers.length > 0)
    throw new Refusal(
      `the hub of this fleet has ${servers.length + 1} servers, each on a machine of its own`,
      "start nats-server in the directory of each: see docs/fleet.md, Three servers",
    );
  const server = findNatsServer(flags.natsServer);
  if (!isAtLeast(server.version, [2, 11]))
    warn(`nats-server ${server.version} can show nodes and results; handing out jobs needs 2.11`);
  if (closed !== null) warn("the queues are closed until ffrtmp fleet restore --finish");
  const users = `${directory.hub}/${HUB_FILES.users}`;
  const known = versionOf(users);
  const hubProcess = new HubProcess(server, directory.hub);
  const stopped = firstSignal(() => hubProcess.reload());
  const reload = reloadOnChange(users, known, hubProcess);
  const watch = watchPath(directory.hub, reload, (name) => name === HUB_FILES.users);
  const url = hubUrl(hub);
  const log = `${directory.hub}/${HUB_FILES.log}`;
  const slow = setTimeout(() => {
    warn(`the hub does not answer at ${hubUrl({ ...hub, host: LOOPBACK })} yet`);
    printErr(
      oneLine(
        `  compare the port with that of "listen" in ${directory.hub}/${HUB_FILES.config}, and see ${log}`,
      ),
    );
  }, SLOW_MS);
  const start = async () => {
    await hubProcess.waitUntil(() => canConnect(directory));
    // The file can have changed between the server's look at it and the watch.
    reload();
    await setUpStreams(directory);
    clearTimeout(slow);
    printOut(oneLine(`hub: ${url}, nats-server ${server.version}, PID ${hubProcess.pid}, until Ctrl-C`));
    printErr(oneLine(`  its log: ${log}`));
    await hubProcess.ended;
    await Bun.sleep(SIGNAL_DELAY_MS);
    return undefined;
  };
  try {
    const signal = await Promise.race([stopped, start()]);
    if (signal === undefined) throw await hubProcess.explainEnd();
    printErr(`ffrtmp: ${signal}: stopping the hub; nodes keep their results until it is back`);
    return signal === "SIGINT" ? 0 : 128 + (signalNumber(signal) ?? 0);
  } finally {
    clearTimeout(slow);
    watch?.close();
    await hubProcess.stop();
  }
}

/** Returns a function that makes the server read its users again if they have changed since the last call. */
function reloadOnChange(users: string, before: string, server: HubProcess): () => void {
  let known = before;
  return () => {
    const now = versionOf(users);
    if (now !== known) server.reload();
    known = now;
  };
}

/** Each version is a new file, whose number may be that of an earlier one. */
function versionOf(file: string): string {
  const { ino, mtimeMs } = statSync(file);
  return `${ino} ${mtimeMs}`;
}

async function canConnect(directory: FleetDirectory): Promise<boolean> {
  try {
    const connection = await connectAsAdmin(directory, LOOPBACK);
    await connection.close();
    return true;
  } catch (error) {
    if (error instanceof HubRefusal && error.fault === "unreachable") return false;
    throw error;
  }
}

async function setUpStreams(directory: FleetDirectory): Promise<void> {
  const connection = await connectAsAdmin(directory, LOOPBACK);
  try {
    const { created } = await ensureStreams(connection, poolsOf(directory.read()));
    // With the sizes of those for which the disk has too little room.
    if (created.length > 0) printErr(`  created ${created.join(", ")}`);
  } finally {
    await connection.close();
  }
}
