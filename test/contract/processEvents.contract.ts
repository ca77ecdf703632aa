import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { ProcessEvent, ProcessEvents, WatchedProcess } from "../../src/linux/events/processEvents.ts";
import { realHost } from "../../src/linux/host.ts";
import { readStat } from "../../src/linux/proc/stat.ts";
import { closeFd } from "../../src/sys/descriptor.ts";
import { openPidfd, readPidfdExit } from "../../src/sys/pidfd.ts";

const CORE_DUMPED = 0x80;
type ExitEvent = Extract<ProcessEvent, { kind: "exit" }>;

const host = realHost();
const STRANGE_THREADS = new URL("../support/programs/strangeThreads.ts", import.meta.url).pathname;
const PIPED = { stdin: "pipe", stdout: "pipe", stderr: "ignore" } as const;

async function whyUnsupported(create: () => ProcessEvents): Promise<string | undefined> {
  const events = create();
  const reason = await events.start(() => {});
  await events.stop();
  return reason;
}

/** Starts a shell script that first reads a line, so that it can be watched before it does anything. */
function spawnWaiting(script: string) {
  return Bun.spawn(["sh", "-c", `read line; ${script}`], PIPED);
}

function identify(pid: number): WatchedProcess {
  const stat = readStat(host, pid);
  if (stat === "gone") throw new Error(`process ${pid} is gone`);
  return { pid, startTicks: stat.startTicks };
}

/**
 * Returns whether pidfds keep exit records here (Linux 6.15). Without them only the connector knows how a
 * process with another parent ended.
 */
async function keepsExitRecords(): Promise<boolean> {
  const child = Bun.spawn(["true"]);
  const pidfd = openPidfd(child.pid);
  await child.exited;
  const exit = readPidfdExit(pidfd);
  closeFd(pidfd);
  return typeof exit === "object";
}

const keepsRecords = await keepsExitRecords();

/** `isReported`: the events of the connector say how the process has ended. */
function expectStatus(events: ProcessEvents, exit: ExitEvent, status: number, isReported = true): void {
  const mustBeKnown = keepsRecords || (isReported && events.source === "connector");
  const found = exit.waitStatus === null ? null : exit.waitStatus & ~CORE_DUMPED;
  expect(found).toBeOneOf(mustBeKnown ? [status] : [status, null]);
}

async function readLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return new TextDecoder().decode(value).trim();
}

/**
 * Defines the tests that every implementation of ProcessEvents must pass. A source that cannot start is
 * skipped.
 */
export async function describeProcessEvents(name: string, create: () => ProcessEvents): Promise<void> {
  const unsupported = await whyUnsupported(create);
  if (unsupported !== undefined) process.stderr.write(`not tried: ${name}: ${unsupported}\n`);

  describe.skipIf(unsupported !== undefined)(name, () => {
    let events: ProcessEvents;
    let received: ProcessEvent[];
    const pidfds: number[] = [];
    const living: { kill(signal: "SIGKILL"): void; exited: Promise<number> }[] = [];

    beforeEach(async () => {
      events = create();
      received = [];
      expect(await events.start((batch) => received.push(...batch))).toBeUndefined();
    });

    afterEach(async () => {
      await events.stop();
      for (const child of living.splice(0)) {
        child.kill("SIGKILL");
        await child.exited;
      }
      for (const pidfd of pidfds.splice(0)) closeFd(pidfd);
    });

    function watch(pid: number, withPidfd = true): WatchedProcess {
      const identity = identify(pid);
      const pidfd = withPidfd ? openPidfd(pid) : null;
      if (pidfd !== null) pidfds.push(pidfd);
      events.watchExit(identity, pidfd);
      return identity;
    }

    async function waitForEvent(kind: "exec" | "comm", pid: number) {
      for (;;) {
        const found = received.find((event) => event.kind === kind && event.pid === pid);
        if (found?.kind === "exec" || found?.kind === "comm") return found;
        await Bun.sleep(5);
      }
    }

    async function waitForExit(pid: number): Promise<ExitEvent> {
      for (;;) {
        const [exit] = exitsOf(pid);
        if (exit !== undefined) return exit;
        await Bun.sleep(5);
      }
    }

    function exitsOf(pid: number): ExitEvent[] {
      return received.filter((event) => event.kind === "exit").filter((event) => event.pid === pid);
    }

    test.each([
      ["exit 0", 0],
      ["exit 42", 42 << 8],
      ["kill -SEGV $$", 11],
      ["kill -KILL $$", 9],
    ])("reports the exit of a watched process once, with its status: %s", async (script, status) => {
      const child = spawnWaiting(script);
      const identity = watch(child.pid);
      child.stdin.end();
      const exit = await waitForExit(child.pid);
      expect(exit).toMatchObject(identity);
      expectStatus(events, exit, status);
      await child.exited;
      await Bun.sleep(150);
      expect(exitsOf(child.pid)).toHaveLength(1);
    });

    test("reports the exit of a process that ended before it was watched", async () => {
      const child = spawnWaiting("exit 3");
      const identity = identify(child.pid);
      const pidfd = openPidfd(child.pid);
      pidfds.push(pidfd);
      child.stdin.end();
      await child.exited;
      events.watchExit(identity, pidfd);
      const exit = await waitForExit(child.pid);
      expect(exit).toMatchObject(identity);
      expectStatus(events, exit, 3 << 8);
    });

    test("reports the exit of a process that its parent never reaps, with its status", async () => {
      // The pipe is duplicated as descriptor 3 first: a shell gives its background commands /dev/null as
      // stdin.
      const script = "exec 3<&0; sh -c 'read line <&3; exit 7' & echo $!; exec sleep 60";
      const parent = Bun.spawn(["sh", "-c", script], PIPED);
      living.push(parent);
      const zombie = Number(await readLine(parent.stdout));
      watch(zombie);
      // A shell might still reap its child; sleep does not.
      while (readFileSync(`/proc/${parent.pid}/comm`, "utf8") !== "sleep\n") await Bun.sleep(5);
      parent.stdin.end();
      expectStatus(events, await waitForExit(zombie), 7 << 8);
      expect(readStat(host, zombie)).toMatchObject({ state: "Z" });
    });

    test("reports the exit of a process without a pidfd", async () => {
      const child = spawnWaiting("exit 9");
      const identity = watch(child.pid, false);
      child.stdin.end();
      const exit = await waitForExit(child.pid);
      expect(exit).toMatchObject(identity);
      const unknown = expect.stringContaining("the process has no pidfd");
      expect(exit).toMatchObject(exit.waitStatus === null ? { reason: unknown } : { waitStatus: 9 << 8 });
      // The parent may reap the process so late that it is still a zombie when it is checked.
      const other = events.source === "connector" ? "proc-event" : null;
      expect(exit.evidence).toBeOneOf(["proc-stat", other]);
    });

    test("does not mistake a new process with the same pid for the watched one", async () => {
      const child = spawnWaiting("exit 0");
      const { pid, startTicks } = identify(child.pid);
      const former = { pid, startTicks: startTicks - 1 };
      events.watchExit(former, null);
      expect(await waitForExit(pid)).toMatchObject({ ...former, waitStatus: null });
      child.stdin.end();
      await child.exited;
      await Bun.sleep(150);
      expect(exitsOf(pid)).toHaveLength(1);
    });

    test("reports no exit of a process that is not watched, or no longer", async () => {
      const unwatched = spawnWaiting("exit 1");
      const dropped = spawnWaiting("exit 1");
      const identity = watch(dropped.pid);
      events.unwatchExit(identity);
      events.unwatchExit(identity);
      for (const child of [unwatched, dropped]) {
        child.stdin.end();
        await child.exited;
      }
      await Bun.sleep(150);
      expect(received.filter((event) => event.kind === "exit")).toEqual([]);
    });

    test("replaces the first watch of a process by the second", async () => {
      const child = spawnWaiting("exit 4");
      watch(child.pid);
      watch(child.pid);
      child.stdin.end();
      await waitForExit(child.pid);
      await child.exited;
      await Bun.sleep(150);
      expect(exitsOf(child.pid)).toHaveLength(1);
    });

    test.each([
      ["leader-exits", 5 << 8],
      ["thread-execs", 6 << 8],
      ["thread-ends", 0],
    ])("reports the end of the last thread, with the status of the process: %s", async (part, status) => {
      const child = Bun.spawn([process.execPath, STRANGE_THREADS, part], PIPED);
      await readLine(child.stdout);
      watch(child.pid);
      // Two threads end with different statuses, and the first one's is not that of the process.
      expectStatus(events, await waitForExit(child.pid), status, part !== "leader-exits");
      expect(child.signalCode === null ? (await child.exited) << 8 : null).toBe(status);
      expect(exitsOf(child.pid)).toHaveLength(1);
    });

    test("reports each of many exits", async () => {
      const children = Array.from({ length: 60 }, (_, index) => spawnWaiting(`exit ${index}`));
      for (const child of children) watch(child.pid);
      for (const child of children) child.stdin.end();
      for (const [index, child] of children.entries()) {
        expectStatus(events, await waitForExit(child.pid), index << 8);
      }
    });

    test("reports nothing after it is stopped", async () => {
      const child = spawnWaiting("exit 1");
      watch(child.pid);
      await events.stop();
      const before = received.length;
      child.stdin.end();
      await child.exited;
      await Bun.sleep(150);
      expect(received).toHaveLength(before);
      events = create();
      await events.start(() => {});
    });

    test("allows two listeners at the same time", async () => {
      const other = create();
      const receivedByOther: ProcessEvent[] = [];
      await other.start((batch) => receivedByOther.push(...batch));
      const child = spawnWaiting("exit 8");
      const identity = watch(child.pid);
      other.watchExit(identity, pidfds.at(-1) ?? null);
      child.stdin.end();
      await waitForExit(child.pid);
      while (!receivedByOther.some((event) => event.kind === "exit")) await Bun.sleep(5);
      await other.stop();
    });

    const { source } = create();
    const reportsExecs = source !== "pidfd";
    if (source !== "connector") {
      process.stderr.write(`not tried: short-lived processes by ${name}: it does not report every exec\n`);
    }

    test.skipIf(!reportsExecs)("reports a new process", async () => {
      const child = Bun.spawn(["sleep", "60"]);
      living.push(child);
      const { atMs } = await waitForEvent("exec", child.pid);
      expect(atMs !== null).toBe(source === "connector");
      expect(Math.abs(Date.now() - (atMs ?? Date.now()))).toBeLessThan(60_000);
      expect(events.counters().received).toBeGreaterThan(0);
    });

    test.skipIf(!reportsExecs)(
      "reports a process that executes another program, and one that renames itself",
      async () => {
        const child = Bun.spawn(
          ["sh", "-c", "read line; printf 'a) S 1 (b' >/proc/$$/comm; read line; exec sleep 60"],
          PIPED,
        );
        living.push(child);
        await waitForEvent("exec", child.pid);
        const countBefore = received.length;
        child.stdin.write("rename\n");
        child.stdin.flush();
        await waitForEvent("comm", child.pid);
        expect(readStat(host, child.pid)).toMatchObject({ comm: "a) S 1 (b" });
        child.stdin.write("exec\n");
        child.stdin.flush();
        const isExec = (event: ProcessEvent) => event.kind === "exec" && event.pid === child.pid;
        while (!received.slice(countBefore).some(isExec)) await Bun.sleep(5);
      },
    );

    test.skipIf(source !== "connector")("reports processes that live for an instant", async () => {
      const pids: number[] = [];
      for (let count = 0; count < 50; count++) {
        const child = Bun.spawn(["true"]);
        pids.push(child.pid);
        await child.exited;
      }
      for (const pid of pids) await waitForEvent("exec", pid);
    });
  });
}
