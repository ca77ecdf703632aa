import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { closeFd, openPidfd, readPidfdExit } from "../../sys/pidfd.ts";
import { realHost } from "../host.ts";
import { readStat } from "../proc/stat.ts";
import { ConnectorEvents } from "./connectorEvents.ts";
import { PidfdEvents } from "./pidfdEvents.ts";
import { PollingEvents } from "./pollingEvents.ts";
import type { ProcessEvent, ProcessEvents, WatchedProcess } from "./processEvents.ts";

const CORE_DUMPED = 0x80;
type ExitEvent = Extract<ProcessEvent, { kind: "exit" }>;

const host = realHost();
const SOURCES: Record<string, () => ProcessEvents> = {
  connector: () => new ConnectorEvents(host),
  pidfd: () => new PidfdEvents(host),
  polling: () => new PollingEvents(host, { intervalMs: 20 }),
  "polling with pidfds": () => new PollingEvents(host, { intervalMs: 20, exits: new PidfdEvents(host) }),
};
const STRANGE_THREADS = new URL("../../../test/support/programs/strangeThreads.ts", import.meta.url).pathname;
const WITH_LINE = { stdin: "pipe", stdout: "pipe", stderr: "ignore" } as const;

async function whyUnsupported(create: () => ProcessEvents): Promise<string | undefined> {
  const events = create();
  const started = await events.start(() => {});
  if (started.outcome === "unsupported") return started.because;
  await events.stop();
  return undefined;
}

/** Runs a shell script that begins with `read`, so that it is watched before it does anything. */
function spawnWaiting(script: string) {
  return Bun.spawn(["sh", "-c", `read line; ${script}`], WITH_LINE);
}

function identify(pid: number): WatchedProcess {
  const stat = readStat(host, pid);
  if (stat === "gone") throw new Error(`process ${pid} is gone`);
  return { pid, startTicks: stat.startTicks };
}

/** Whether pidfds keep exit records here (Linux 6.15): without, only the connector knows how the process of another parent ended. */
async function keepsExitRecords(): Promise<boolean> {
  const child = Bun.spawn(["true"]);
  const pidfd = openPidfd(child.pid);
  await child.exited;
  const exit = readPidfdExit(pidfd);
  closeFd(pidfd);
  return typeof exit === "object";
}

const keepsRecords = await keepsExitRecords();

function expectStatus(events: ProcessEvents, exit: ExitEvent, status: number): void {
  const mustBeKnown = keepsRecords || events.source === "connector";
  const found = exit.waitStatus === null ? null : exit.waitStatus & ~CORE_DUMPED;
  expect(found).toBeOneOf(mustBeKnown ? [status] : [status, null]);
}

async function readLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return new TextDecoder().decode(value).trim();
}

for (const [name, create] of Object.entries(SOURCES)) {
  const because = await whyUnsupported(create);
  if (because !== undefined) process.stderr.write(`not tried: ${name}: ${because}\n`);

  describe.skipIf(because !== undefined)(name, () => {
    let events: ProcessEvents;
    let told: ProcessEvent[];
    const pidfds: number[] = [];
    const living: { kill(signal: "SIGKILL"): void; exited: Promise<number> }[] = [];

    beforeEach(async () => {
      events = create();
      told = [];
      expect(await events.start((batch) => told.push(...batch))).toEqual({ outcome: "started" });
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

    async function toldOf(kind: "exec" | "comm", pid: number) {
      for (;;) {
        const found = told.find((event) => event.kind === kind && event.pid === pid);
        if (found?.kind === "exec" || found?.kind === "comm") return found;
        await Bun.sleep(5);
      }
    }

    async function exitOf(pid: number): Promise<ExitEvent> {
      for (;;) {
        const [exit] = exitsOf(pid);
        if (exit !== undefined) return exit;
        await Bun.sleep(5);
      }
    }

    function exitsOf(pid: number): ExitEvent[] {
      return told.filter((event) => event.kind === "exit").filter((event) => event.pid === pid);
    }

    test.each([
      ["exit 0", 0],
      ["exit 42", 42 << 8],
      ["kill -SEGV $$", 11],
      ["kill -KILL $$", 9],
    ])("tells the end of a watched process once, with its status: %s", async (script, status) => {
      const child = spawnWaiting(script);
      const identity = watch(child.pid);
      child.stdin.end();
      const exit = await exitOf(child.pid);
      expect(exit).toMatchObject(identity);
      expectStatus(events, exit, status);
      await child.exited;
      await Bun.sleep(150);
      expect(exitsOf(child.pid)).toHaveLength(1);
    });

    test("tells the end of a process that has ended before it was watched", async () => {
      const child = spawnWaiting("exit 3");
      const identity = identify(child.pid);
      const pidfd = openPidfd(child.pid);
      pidfds.push(pidfd);
      child.stdin.end();
      await child.exited;
      events.watchExit(identity, pidfd);
      const exit = await exitOf(child.pid);
      expect(exit).toMatchObject(identity);
      expectStatus(events, exit, 3 << 8);
    });

    test("tells the end of a process whose parent never collects it, with its status", async () => {
      // Asked for beforehand: a shell gives what it starts in the background /dev/null to read
      const script = "exec 3<&0; sh -c 'read line <&3; exit 7' & echo $!; exec sleep 60";
      const parent = Bun.spawn(["sh", "-c", script], WITH_LINE);
      living.push(parent);
      const zombie = Number(await readLine(parent.stdout));
      watch(zombie);
      // A shell might still collect its child, a sleep does not
      while (readFileSync(`/proc/${parent.pid}/comm`, "utf8") !== "sleep\n") await Bun.sleep(5);
      parent.stdin.end();
      expectStatus(events, await exitOf(zombie), 7 << 8);
      expect(readStat(host, zombie)).toMatchObject({ state: "Z" });
    });

    test("tells the end of a process without a pidfd", async () => {
      const child = spawnWaiting("exit 9");
      const identity = watch(child.pid, false);
      child.stdin.end();
      const exit = await exitOf(child.pid);
      expect(exit).toMatchObject(identity);
      const unknown = expect.stringContaining("there was no pidfd to ask");
      expect(exit).toMatchObject(exit.waitStatus === null ? { because: unknown } : { waitStatus: 9 << 8 });
      // Its parent may take so long to collect it that it is seen as a zombie
      const other = events.source === "connector" ? "proc-event" : null;
      expect(exit.evidence).toBeOneOf(["proc-stat", other]);
    });

    test("does not take a newcomer under the same pid for the process that is watched", async () => {
      const child = spawnWaiting("exit 0");
      const { pid, startTicks } = identify(child.pid);
      const former = { pid, startTicks: startTicks - 1 };
      events.watchExit(former, null);
      expect(await exitOf(pid)).toMatchObject({ ...former, waitStatus: null });
      child.stdin.end();
      await child.exited;
      await Bun.sleep(150);
      expect(exitsOf(pid)).toHaveLength(1);
    });

    test("says nothing of the end of a process that is not watched, or no longer", async () => {
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
      expect(told.filter((event) => event.kind === "exit")).toEqual([]);
    });

    test("a second watch of the same process replaces the first", async () => {
      const child = spawnWaiting("exit 4");
      watch(child.pid);
      watch(child.pid);
      child.stdin.end();
      await exitOf(child.pid);
      await child.exited;
      await Bun.sleep(150);
      expect(exitsOf(child.pid)).toHaveLength(1);
    });

    test.each([
      ["leader-exits", 5 << 8],
      ["thread-execs", 6 << 8],
      ["thread-ends", 0],
    ])("a process ends when its last thread does, with its own status: %s", async (part, status) => {
      const child = Bun.spawn([process.execPath, STRANGE_THREADS, part], WITH_LINE);
      await readLine(child.stdout);
      watch(child.pid);
      expectStatus(events, await exitOf(child.pid), status);
      expect(child.signalCode === null ? (await child.exited) << 8 : null).toBe(status);
      expect(exitsOf(child.pid)).toHaveLength(1);
    });

    test("tells each of many ends", async () => {
      const children = Array.from({ length: 60 }, (_, index) => spawnWaiting(`exit ${index}`));
      for (const child of children) watch(child.pid);
      for (const child of children) child.stdin.end();
      for (const [index, child] of children.entries()) {
        expectStatus(events, await exitOf(child.pid), index << 8);
      }
    });

    test("says nothing any more once it is stopped", async () => {
      const child = spawnWaiting("exit 1");
      watch(child.pid);
      await events.stop();
      const before = told.length;
      child.stdin.end();
      await child.exited;
      await Bun.sleep(150);
      expect(told).toHaveLength(before);
      events = create();
      await events.start(() => {});
    });

    test("two may listen at the same time", async () => {
      const other = create();
      const toldOther: ProcessEvent[] = [];
      await other.start((batch) => toldOther.push(...batch));
      const child = spawnWaiting("exit 8");
      const identity = watch(child.pid);
      other.watchExit(identity, pidfds.at(-1) ?? null);
      child.stdin.end();
      await exitOf(child.pid);
      while (!toldOther.some((event) => event.kind === "exit")) await Bun.sleep(5);
      await other.stop();
    });

    const { exec } = create().tells;
    const tellsExecs = exec !== "never";
    if (exec !== "at once") {
      process.stderr.write(`not tried: short lives by ${name}: it tells of new processes ${exec}\n`);
    }

    test.skipIf(!tellsExecs)("tells of a new process", async () => {
      const child = Bun.spawn(["sleep", "60"]);
      living.push(child);
      const { atMs } = await toldOf("exec", child.pid);
      expect(atMs !== null).toBe(events.tells.exec === "at once");
      expect(Math.abs(Date.now() - (atMs ?? Date.now()))).toBeLessThan(60_000);
      expect(events.counters().received).toBeGreaterThan(0);
    });

    test.skipIf(!tellsExecs)(
      "tells of a process that runs another program, and of one that renames itself",
      async () => {
        const child = Bun.spawn(
          ["sh", "-c", "read line; printf 'a) S 1 (b' >/proc/$$/comm; read line; exec sleep 60"],
          WITH_LINE,
        );
        living.push(child);
        await toldOf("exec", child.pid);
        const isKnown = told.length;
        child.stdin.write("rename\n");
        child.stdin.flush();
        await toldOf("comm", child.pid);
        expect(readStat(host, child.pid)).toMatchObject({ comm: "a) S 1 (b" });
        child.stdin.write("exec\n");
        child.stdin.flush();
        const isExec = (event: ProcessEvent) => event.kind === "exec" && event.pid === child.pid;
        while (!told.slice(isKnown).some(isExec)) await Bun.sleep(5);
      },
    );

    test.skipIf(exec !== "at once")("tells of processes that live for an instant", async () => {
      const pids: number[] = [];
      for (let count = 0; count < 50; count++) {
        const child = Bun.spawn(["true"]);
        pids.push(child.pid);
        await child.exited;
      }
      for (const pid of pids) await toldOf("exec", pid);
    });
  });
}
