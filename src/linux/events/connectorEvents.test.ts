import { afterEach, describe, expect, test } from "bun:test";
import { sendToKernel } from "../../sys/connectorSocket.ts";
import { realHost } from "../host.ts";
import { readStat } from "../proc/stat.ts";
import { encodeListen } from "./cnProc.ts";
import { ConnectorEvents } from "./connectorEvents.ts";
import { ConnectorLine } from "./connectorLine.ts";
import type { ProcessEvent } from "./processEvents.ts";

const host = realHost();
const START_CONNECTOR = new URL("../../../test/support/programs/startConnector.ts", import.meta.url).pathname;
const STRANGE_THREADS = new URL("../../../test/support/programs/strangeThreads.ts", import.meta.url).pathname;

const probe = new ConnectorEvents(host);
const probed = await probe.start(() => {});
if (probed.outcome === "started") await probe.stop();
else process.stderr.write(`not tried: the connector: ${probed.because}\n`);
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("not tried: the connector in namespaces: making them takes root\n");

function startUnder(...wrapper: string[]): unknown {
  const { stdout } = Bun.spawnSync([...wrapper, process.execPath, START_CONNECTOR]);
  return JSON.parse(stdout.toString());
}

describe.skipIf(probed.outcome !== "started")("the connector", () => {
  let events: ConnectorEvents | undefined;
  afterEach(async () => {
    await events?.stop();
    events = undefined;
  });

  test("says that events were lost, after all that were not, and counts them", async () => {
    events = new ConnectorEvents(host, { bufferBytes: 1 });
    const told: ProcessEvent[] = [];
    await events.start((batch) => told.push(...batch));
    const storm = "for i in 1 2 3 4 5 6 7 8; do (for j in $(seq 60); do /bin/true; done) & done; wait";
    await Bun.spawn(["sh", "-c", storm]).exited;
    while (!told.some((event) => event.kind === "lost")) await Bun.sleep(5);
    const { overruns, dropped } = events.counters();
    expect(overruns).toBeGreaterThan(0);
    expect(dropped ?? overruns).toBeGreaterThanOrEqual(overruns);
  });

  test("goes on after a loss", async () => {
    events = new ConnectorEvents(host, { bufferBytes: 1 });
    const told: ProcessEvent[] = [];
    await events.start((batch) => told.push(...batch));
    await Bun.spawn(["sh", "-c", "for i in $(seq 100); do /bin/true & done; wait"]).exited;
    await Bun.sleep(100);
    const child = Bun.spawn(["true"]);
    await child.exited;
    while (!told.some((event) => event.kind === "exec" && event.pid === child.pid)) await Bun.sleep(5);
  });

  test("counts nothing as lost in a storm that fits the buffer", async () => {
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
  ])("never takes a thread's status for the process's, even without a pidfd: %s", async (part, status) => {
    events = new ConnectorEvents(host);
    const told: ProcessEvent[] = [];
    await events.start((batch) => told.push(...batch));
    const stdio = { stdin: "pipe", stdout: "pipe", stderr: "ignore" } as const;
    const child = Bun.spawn([process.execPath, STRANGE_THREADS, part], stdio);
    await child.stdout.getReader().read();
    const stat = readStat(host, child.pid);
    if (stat === "gone") throw new Error("the process is gone");
    events.watchExit({ pid: child.pid, startTicks: stat.startTicks }, null);
    await child.exited;
    let exit: ProcessEvent | undefined;
    while (exit?.kind !== "exit") {
      await Bun.sleep(5);
      exit = told.find((event) => event.kind === "exit");
    }
    const unknown = expect.stringContaining("its threads ended with different statuses");
    expect(exit).toMatchObject(exit.waitStatus === null ? { because: unknown } : { waitStatus: status });
  });

  test.skipIf(!isRoot)("says what is missing in a pid or a user namespace", () => {
    for (const wrapper of [
      ["unshare", "--pid", "--fork", "--mount-proc"],
      ["unshare", "--user", "--map-root-user"],
    ]) {
      expect(startUnder(...wrapper)).toMatchObject({
        outcome: "unsupported",
        because: expect.stringMatching(/serves the (pid|user) namespace of the machine only/),
      });
    }
  });

  test.skipIf(!isRoot)("says what is missing in a network namespace", () => {
    expect(startUnder("unshare", "--net")).toMatchObject({
      outcome: "unsupported",
      because: expect.stringContaining("initial network namespace"),
    });
  });

  test("says nothing of its own heartbeat, and takes it for a sign of life", async () => {
    events = new ConnectorEvents(host, { heartbeatIntervalMs: 10 });
    const told: ProcessEvent[] = [];
    await events.start((batch) => told.push(...batch));
    await Bun.sleep(200);
    const isOurs = (event: ProcessEvent) => event.kind === "comm" && event.pid === process.pid;
    expect(told.filter((event) => isOurs(event) || event.kind === "failed")).toEqual([]);
  });

  /** Starts on a line that the test can silence, as another listener can before Linux 6.6. */
  async function startOnSilenceableLine(told: ProcessEvent[]): Promise<ConnectorLine> {
    let opened: ConnectorLine | undefined;
    const openLine = (bufferBytes: number) => {
      const line = ConnectorLine.open(bufferBytes);
      if (!("because" in line)) opened = line;
      return line;
    };
    events = new ConnectorEvents(host, { heartbeatIntervalMs: 50, openLine });
    await events.start((batch) => told.push(...batch));
    if (opened === undefined) throw new Error("no line was opened");
    return opened;
  }

  test("notices that it was silenced, says that events were lost, and listens again", async () => {
    const told: ProcessEvent[] = [];
    const line = await startOnSilenceableLine(told);
    line.stopListening();
    while (!told.some((event) => event.kind === "lost")) await Bun.sleep(5);
    const child = Bun.spawn(["true"]);
    await child.exited;
    while (!told.some((event) => event.kind === "exec" && event.pid === child.pid)) await Bun.sleep(5);
    expect(told.filter((event) => event.kind === "failed")).toEqual([]);
  });

  test("says once that it has failed when it stays silent", async () => {
    const told: ProcessEvent[] = [];
    const line = await startOnSilenceableLine(told);
    line.listen = () => undefined;
    line.stopListening();
    while (!told.some((event) => event.kind === "failed")) await Bun.sleep(5);
    await Bun.sleep(200);
    expect(told.filter((event) => event.kind === "failed")).toHaveLength(1);
  });

  test("needs no mask in its request, which kernels before 6.6 do not know", async () => {
    const told: ProcessEvent[] = [];
    const openLine = (bufferBytes: number) => {
      const line = ConnectorLine.open(bufferBytes);
      if ("because" in line) return line;
      line.listen = () => {
        for (const message of encodeListen().slice(0, 1)) sendToKernel(line.fd, message);
        return undefined;
      };
      return line;
    };
    events = new ConnectorEvents(host, { openLine });
    expect(await events.start((batch) => told.push(...batch))).toEqual({ outcome: "started" });
    const child = Bun.spawn(["true"]);
    await child.exited;
    while (!told.some((event) => event.kind === "exec" && event.pid === child.pid)) await Bun.sleep(5);
    expect(events.counters().malformed).toBe(0);
  });

  test("may be stopped twice", async () => {
    events = new ConnectorEvents(host);
    await events.start(() => {});
    await events.stop();
    await events.stop();
  });

  test("leaves nothing behind that keeps the process alive", () => {
    expect(startUnder()).toEqual({ outcome: "started" });
  });
});
