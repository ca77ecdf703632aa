import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lacksRealtime, RR, readPolicy, setAllOrdinary } from "../../../test/support/scheduling.ts";
import { sendToKernel } from "../../sys/connectorSocket.ts";
import { realHost } from "../host.ts";
import { readStat } from "../proc/stat.ts";
import { encodeListen } from "./cnProc.ts";
import { ConnectorEvents } from "./connectorEvents.ts";
import { ExecFilter, type ExecFilterTables, loadExecFilter } from "./execFilter.ts";
import { openProcConnector, type ProcConnector } from "./procConnector.ts";
import type { ProcessEvent } from "./processEvents.ts";

const host = realHost();
const START_CONNECTOR = new URL("../../../test/support/programs/startConnector.ts", import.meta.url).pathname;
const STRANGE_THREADS = new URL("../../../test/support/programs/strangeThreads.ts", import.meta.url).pathname;

const probe = new ConnectorEvents(host);
const unsupported = await probe.start(() => {});
if (unsupported === undefined) await probe.stop();
else process.stderr.write(`not tried: the connector: ${unsupported}\n`);
const noRealtime = lacksRealtime();
if (noRealtime !== undefined) process.stderr.write(`not tried: real-time events: ${noRealtime}\n`);
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("not tried: the connector in namespaces: making them takes root\n");

const loaded = loadExecFilter(process.pid);
const noFilter = "reason" in loaded ? loaded.reason : undefined;
if (noFilter !== undefined) process.stderr.write(`not tried: the filter of execs: ${noFilter}\n`);
const filterTest = test.skipIf(noFilter !== undefined);

/** Copies what a source of events uses of a filter, so that a test can replace a part. */
function bound(filter: ExecFilterTables): ExecFilterTables {
  return {
    programFd: filter.programFd,
    dropped: filter.dropped,
    setNames: (names: readonly string[]) => filter.setNames(names),
    takeDropped: () => filter.takeDropped(),
  };
}

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

  test.skipIf(noRealtime !== undefined)(
    "makes the main thread real-time before it sends a new program",
    async () => {
      events = new ConnectorEvents(host, { isRealtime: true });
      let policy: number | undefined;
      let child: Bun.Subprocess | undefined;
      try {
        await events.start((batch) => {
          if (batch.some((event) => event.kind === "exec" && event.pid === child?.pid)) policy = readPolicy();
        });
        // Any exec on the machine may have done it meanwhile.
        setAllOrdinary();
        child = Bun.spawn(["/bin/true"], { stdio: ["ignore", "ignore", "ignore"] });
        while (policy === undefined) await Bun.sleep(1);
        expect(policy).toBe(RR);
      } finally {
        setAllOrdinary();
      }
    },
  );

  test("reports execs under other names together, and those of wanted names or files one by one", async () => {
    const directory = mkdtempSync(join(tmpdir(), "ffrtmp-names-"));
    const children: Bun.Subprocess[] = [];
    try {
      for (const name of ["ffn-wanted", "ffn-file", "ffn-other"])
        copyFileSync("/bin/cat", join(directory, name));
      // The kernel knows the name of the link.
      symlinkSync("ffn-file", join(directory, "ffn-link"));
      // Exits would wake the main thread too.
      events = new ConnectorEvents(host, { hasExits: false });
      const batches: number[][] = [];
      await events.start((batch) => {
        batches.push(batch.flatMap((event) => (event.kind === "exec" ? event.pid : [])));
      });
      events.setNames({ renamed: [], executed: ["ffn-wanted", "ffn-file"] });
      const batchOf = (pid: number) => batches.findIndex((batch) => batch.includes(pid));
      const countBatches = async (name: string) => {
        const pids: number[] = [];
        for (let each = 0; each < 30; each++) {
          const child = Bun.spawn([join(directory, name)], { stdio: ["pipe", "ignore", "ignore"] });
          children.push(child);
          pids.push(child.pid);
          await Bun.sleep(5);
        }
        while (pids.some((pid) => batchOf(pid) < 0)) await Bun.sleep(5);
        return new Set(pids.map(batchOf)).size;
      };
      const ofOthers = await countBatches("ffn-other");
      expect(ofOthers).toBeLessThan(15);
      expect(await countBatches("ffn-wanted")).toBeGreaterThan(ofOthers);
      expect(await countBatches("ffn-link")).toBeGreaterThan(ofOthers);
    } finally {
      for (const child of children) child.kill();
      await Promise.all(children.map((child) => child.exited));
      rmSync(directory, { recursive: true });
    }
  });

  test("counts execs under other names whose processes have ended, and reports the others", async () => {
    events = new ConnectorEvents(host, { hasExits: false });
    const received: ProcessEvent[] = [];
    await events.start((batch) => received.push(...batch));
    events.setNames({ renamed: [], executed: ["ffn-wanted"] });
    const before = events.counters().received;
    const ended = Array.from({ length: 20 }, () => Bun.spawnSync(["/bin/true"]).pid);
    // One that lives makes the thread hand over what waits.
    await untilForeignIsReported(received);
    // One that runs when the thread hands over what waits is reported.
    expect(ended.filter((pid) => isReported(received, pid)).length).toBeLessThan(5);
    expect(events.counters().received - before).toBeGreaterThan(20);
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

  /** Starts with a filter of execs, as it is or as `change` makes it. */
  async function startWithFilter(
    received: ProcessEvent[],
    change: (filter: ExecFilterTables) => ExecFilterTables = (filter) => filter,
  ): Promise<ConnectorEvents> {
    if ("reason" in loaded) throw new Error(loaded.reason);
    const filter = ExecFilter.open(loaded);
    if ("reason" in filter) throw new Error(filter.reason);
    events = new ConnectorEvents(host, { hasExits: false, execFilter: change(filter) });
    expect(await events.start((batch) => received.push(...batch))).toBeUndefined();
    return events;
  }

  async function execute(program: string): Promise<number> {
    const child = Bun.spawn([program]);
    await child.exited;
    return child.pid;
  }

  const isReported = (received: ProcessEvent[], pid: number): boolean =>
    received.some((event) => event.kind === "exec" && event.pid === pid);

  /** Starts a program under a name that no test wants, and ends it when its exec is reported. */
  async function untilForeignIsReported(received: ProcessEvent[]): Promise<void> {
    const child = Bun.spawn(["cat"], { stdio: ["pipe", "ignore", "ignore"] });
    while (!isReported(received, child.pid)) await Bun.sleep(5);
    child.kill();
    await child.exited;
  }

  filterTest("with a filter, drops execs under other names in the kernel and remembers them", async () => {
    const received: ProcessEvent[] = [];
    const filtered = await startWithFilter(received);
    expect(filtered.unfilteredBecause()).toBe("no names are set yet");
    expect(filtered.counters().filteredExecs).toBeNull();
    filtered.setNames({ renamed: [], executed: ["true"] });
    const other = await execute("/bin/false");
    const wanted = await execute("/bin/true");
    while (!isReported(received, wanted)) await Bun.sleep(5);
    expect(isReported(received, other)).toBe(false);
    expect(filtered.counters().filteredExecs).toBeGreaterThan(0);
    const dropped = filtered.takeDroppedExecs();
    expect([dropped?.has(other), dropped?.has(wanted)]).toEqual([true, false]);
    expect(filtered.unfilteredBecause()).toBeNull();
    filtered.setNames({ renamed: [], executed: undefined });
    expect(filtered.unfilteredBecause()).toContain("a pattern");
    expect(filtered.counters().filteredExecs).toBeNull();
    await untilForeignIsReported(received);
    filtered.setNames({ renamed: [], executed: [] });
    const none = await execute("/bin/true");
    expect(filtered.takeDroppedExecs()?.has(none)).toBe(true);
  });

  filterTest("reports all execs before it has names", async () => {
    const received: ProcessEvent[] = [];
    await startWithFilter(received);
    await untilForeignIsReported(received);
  });

  filterTest("reports all execs again once exits are reported, which the filter would drop", async () => {
    const received: ProcessEvent[] = [];
    const filtered = await startWithFilter(received);
    filtered.setNames({ renamed: [], executed: [] });
    filtered.watchExit({ pid: 4_194_304, startTicks: 1 }, null);
    filtered.setNames({ renamed: [], executed: [] });
    expect(filtered.counters().filteredExecs).toBeNull();
    expect(filtered.unfilteredBecause()).toContain("without a pidfd");
    await untilForeignIsReported(received);
  });

  filterTest("does not use a filter that passes all, or none, or cannot be attached", async () => {
    const passesAll = (filter: ExecFilterTables): ExecFilterTables => ({
      ...bound(filter),
      setNames: () => filter.setNames(["true"]),
    });
    const passesNone = (filter: ExecFilterTables): ExecFilterTables => ({
      ...bound(filter),
      setNames: () => filter.setNames([]),
    });
    const isNoProgram = (filter: ExecFilterTables): ExecFilterTables => ({ ...bound(filter), programFd: 0 });
    for (const [change, reason] of [
      [passesAll, "it does not drop an exec under another name"],
      [passesNone, "it does not pass an exec under a wanted name"],
      [isNoProgram, "setsockopt(SO_ATTACH_BPF): EINVAL"],
    ] as const) {
      const received: ProcessEvent[] = [];
      const unfiltered = await startWithFilter(received, change);
      unfiltered.setNames({ renamed: [], executed: [] });
      expect(unfiltered.unfilteredBecause()).toBe(`the test of the filter failed: ${reason}`);
      expect(unfiltered.counters().filteredExecs).toBeNull();
      await untilForeignIsReported(received);
      await unfiltered.stop();
    }
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
