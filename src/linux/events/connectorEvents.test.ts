import { afterEach, describe, expect, test } from "bun:test";
import { sendToKernel } from "../../sys/connectorSocket.ts";
import { realHost } from "../host.ts";
import { readStat } from "../proc/stat.ts";
import { encodeListen } from "./cnProc.ts";
import { ConnectorEvents } from "./connectorEvents.ts";
import { openProcConnector, type ProcConnector } from "./procConnector.ts";
import type { ProcessEvent } from "./processEvents.ts";

const host = realHost();
const START_CONNECTOR = new URL("../../../test/support/programs/startConnector.ts", import.meta.url).pathname;
const STRANGE_THREADS = new URL("../../../test/support/programs/strangeThreads.ts", import.meta.url).pathname;

const probe = new ConnectorEvents(host);
const unsupported = await probe.start(() => {});
if (unsupported === undefined) await probe.stop();
else process.stderr.write(`not tried: the connector: ${unsupported}\n`);
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("not tried: the connector in namespaces: making them takes root\n");

/** Returns why the connector did not start; `null` when it did. */
function startUnder(...wrapper: string[]): string | null {
  const { stdout } = Bun.spawnSync([...wrapper, process.execPath, START_CONNECTOR]);
  return JSON.parse(stdout.toString());
}

describe.skipIf(unsupported !== undefined)("the connector", () => {
  let events: ConnectorEvents | undefined;
  afterEach(async () => {
    await events?.stop();
    events = undefined;
  });

  test("reports lost events after all others, and counts them", async () => {
    events = new ConnectorEvents(host, { bufferBytes: 1 });
    const received: ProcessEvent[] = [];
    await events.start((batch) => received.push(...batch));
    const storm = "for i in 1 2 3 4 5 6 7 8; do (for j in $(seq 60); do /bin/true; done) & done; wait";
    await Bun.spawn(["sh", "-c", storm]).exited;
    while (!received.some((event) => event.kind === "lost")) await Bun.sleep(5);
    const { overruns, dropped } = events.counters();
    expect(overruns).toBeGreaterThan(0);
    expect(dropped ?? overruns).toBeGreaterThanOrEqual(overruns);
  });

  test("without exits, turns them on for a process without a pidfd", async () => {
    let turnedOn = 0;
    const openConnector: typeof openProcConnector = (bufferBytes, hasExits) => {
      const connector = openProcConnector(bufferBytes, hasExits);
      if ("reason" in connector) return connector;
      const includeExits = (): number => {
        turnedOn++;
        return connector.includeExits();
      };
      return { ...connector, includeExits };
    };
    events = new ConnectorEvents(host, { hasExits: false, openConnector });
    const received: ProcessEvent[] = [];
    await events.start((batch) => received.push(...batch));
    const child = Bun.spawn(["sh", "-c", "read line; exit 7"], { stdin: "pipe" });
    const stat = readStat(host, child.pid);
    if (stat === "gone") throw new Error("the process is gone");
    events.watchExit({ pid: child.pid, startTicks: stat.startTicks }, null);
    expect(turnedOn).toBe(1);
    child.stdin.end();
    const exit = () => received.find((event) => event.kind === "exit");
    while (exit() === undefined) await Bun.sleep(5);
    expect(exit()).toMatchObject({ pid: child.pid, waitStatus: 0x700 });
  });

  test("with names, reports renamings to one of them and drops the others in the kernel", async () => {
    events = new ConnectorEvents(host);
    const received: ProcessEvent[] = [];
    await events.start((batch) => received.push(...batch));
    // A renaming that its process outlives: the exit of a process overtakes it.
    const children: Bun.Subprocess<"pipe">[] = [];
    const rename = async (name: string): Promise<number> => {
      const script = `printf ${name} > /proc/$$/comm; echo done; read line`;
      const child = Bun.spawn(["sh", "-c", script], { stdin: "pipe", stdout: "pipe" });
      children.push(child);
      await child.stdout.getReader().read();
      return child.pid;
    };
    const isRenamed = (pid: number) => received.some((event) => event.kind === "comm" && event.pid === pid);
    events.setNames({ renamed: ["ffrtmp-wanted"], executed: [] });
    const other = await rename("ffrtmp-other");
    const wanted = await rename("ffrtmp-wanted");
    while (!isRenamed(wanted)) await Bun.sleep(5);
    expect(isRenamed(other)).toBe(false);
    events.setNames({ renamed: undefined, executed: undefined });
    const any = await rename("ffrtmp-other");
    while (!isRenamed(any)) await Bun.sleep(5);
    for (const child of children) child.stdin.end();
  });

  test("continues after a loss", async () => {
    events = new ConnectorEvents(host, { bufferBytes: 1 });
    const received: ProcessEvent[] = [];
    await events.start((batch) => received.push(...batch));
    await Bun.spawn(["sh", "-c", "for i in $(seq 100); do /bin/true & done; wait"]).exited;
    await Bun.sleep(100);
    const child = Bun.spawn(["true"]);
    await child.exited;
    while (!received.some((event) => event.kind === "exec" && event.pid === child.pid)) await Bun.sleep(5);
  });

  test("loses nothing in a fork storm that fits into the buffer", async () => {
    events = new ConnectorEvents(host);
    await events.start(() => {});
    await Bun.spawn(["sh", "-c", "for i in $(seq 300); do /bin/true; done"]).exited;
    expect(events.counters()).toMatchObject({ overruns: 0, malformed: 0 });
    expect(events.counters().dropped ?? 0).toBe(0);
  });

  test.each([
    ["leader-exits", 5 << 8],
    ["thread-execs", 6 << 8],
    ["thread-ends", 0],
  ])(
    "never reports the status of a thread as that of the process, even without a pidfd: %s",
    async (part, status) => {
      events = new ConnectorEvents(host);
      const received: ProcessEvent[] = [];
      await events.start((batch) => received.push(...batch));
      const stdio = { stdin: "pipe", stdout: "pipe", stderr: "ignore" } as const;
      const child = Bun.spawn([process.execPath, STRANGE_THREADS, part], stdio);
      await child.stdout.getReader().read();
      const stat = readStat(host, child.pid);
      if (stat === "gone") throw new Error("the process is gone");
      events.watchExit({ pid: child.pid, startTicks: stat.startTicks }, null);
      await child.exited;
      let exit = received.find((event) => event.kind === "exit");
      while (exit === undefined) {
        await Bun.sleep(5);
        exit = received.find((event) => event.kind === "exit");
      }
      const unknown = expect.stringContaining("its threads ended with different statuses");
      expect(exit).toMatchObject(exit.waitStatus === null ? { reason: unknown } : { waitStatus: status });
    },
  );

  test.skipIf(!isRoot)("says why it cannot start in a pid or user namespace", () => {
    for (const wrapper of [
      ["unshare", "--pid", "--fork", "--mount-proc"],
      ["unshare", "--user", "--map-root-user"],
    ]) {
      expect(startUnder(...wrapper)).toMatch(/serves only the initial (pid|user) namespace/);
    }
  });

  test.skipIf(!isRoot)("says why it cannot start in a network namespace", () => {
    expect(startUnder("unshare", "--net")).toContain("initial network namespace");
  });

  test("does not report its own heartbeat, and does not fail while it arrives", async () => {
    events = new ConnectorEvents(host, { heartbeatIntervalMs: 10 });
    const received: ProcessEvent[] = [];
    await events.start((batch) => received.push(...batch));
    await Bun.sleep(200);
    const isOurs = (event: ProcessEvent) => event.kind === "comm" && event.pid === process.pid;
    expect(received.filter((event) => isOurs(event) || event.kind === "failed")).toEqual([]);
  });

  /** Starts on a socket that the test can silence, as another listener can before Linux 6.6. */
  async function startOnSilenceableSocket(received: ProcessEvent[]): Promise<ProcConnector> {
    let opened: ProcConnector | undefined;
    const openConnector = (bufferBytes: number) => {
      const connector = openProcConnector(bufferBytes);
      if (!("reason" in connector)) opened = connector;
      return connector;
    };
    events = new ConnectorEvents(host, { heartbeatIntervalMs: 50, openConnector });
    await events.start((batch) => received.push(...batch));
    if (opened === undefined) throw new Error("no socket was opened");
    return opened;
  }

  test("reports lost events when it is silenced, and listens again", async () => {
    const received: ProcessEvent[] = [];
    const connector = await startOnSilenceableSocket(received);
    connector.stopListening();
    while (!received.some((event) => event.kind === "lost")) await Bun.sleep(5);
    const child = Bun.spawn(["true"]);
    await child.exited;
    while (!received.some((event) => event.kind === "exec" && event.pid === child.pid)) await Bun.sleep(5);
    expect(received.filter((event) => event.kind === "failed")).toEqual([]);
  });

  test("reports once that it has failed when it stays silent", async () => {
    const received: ProcessEvent[] = [];
    const connector = await startOnSilenceableSocket(received);
    connector.listen = () => undefined;
    connector.stopListening();
    while (!received.some((event) => event.kind === "failed")) await Bun.sleep(5);
    await Bun.sleep(200);
    expect(received.filter((event) => event.kind === "failed")).toHaveLength(1);
  });

  test("works without a mask in the request, which kernels before 6.6 do not know", async () => {
    const received: ProcessEvent[] = [];
    const openConnector = (bufferBytes: number) => {
      const connector = openProcConnector(bufferBytes);
      if ("reason" in connector) return connector;
      connector.listen = () => {
        for (const message of encodeListen().slice(0, 1)) sendToKernel(connector.fd, message);
        return undefined;
      };
      return connector;
    };
    events = new ConnectorEvents(host, { openConnector });
    expect(await events.start((batch) => received.push(...batch))).toBeUndefined();
    const child = Bun.spawn(["true"]);
    await child.exited;
    while (!received.some((event) => event.kind === "exec" && event.pid === child.pid)) await Bun.sleep(5);
    expect(events.counters().malformed).toBe(0);
  });

  test("can be stopped twice", async () => {
    events = new ConnectorEvents(host);
    await events.start(() => {});
    await events.stop();
    await events.stop();
  });

  test("leaves nothing that keeps the process running", () => {
    expect(startUnder()).toBeNull();
  });
});
