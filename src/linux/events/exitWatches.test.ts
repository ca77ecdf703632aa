import { afterEach, expect, test } from "bun:test";
import { closeFd } from "../../sys/descriptor.ts";
import { openPidfd, type readPidfdExit } from "../../sys/pidfd.ts";
import { realHost } from "../host.ts";
import { readStat } from "../proc/stat.ts";
import { ExitWatches } from "./exitWatches.ts";
import type { ProcessEvent, WatchedProcess } from "./processEvents.ts";

const host = realHost();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Creates watches that see a kernel whose pidfds keep no exit record, as before Linux 6.15. */
function oldKernel(record: ReturnType<typeof readPidfdExit> = "unsupported") {
  const received: ProcessEvent[] = [];
  const readySet = { add: () => 0, remove: () => {} };
  const options = {
    host,
    emit: (event: ProcessEvent) => received.push(event),
    readySet,
    checkIntervalMs: 1000,
    eventDelayMs: 1000,
  };
  const watches = new ExitWatches({ ...options, readRecord: () => record });
  cleanups.push(() => watches.clear());
  return { received, watches };
}

async function endedProcess(): Promise<{ identity: WatchedProcess; pidfd: number }> {
  const child = Bun.spawn(["sh", "-c", "read line"], { stdin: "pipe" });
  const stat = readStat(host, child.pid);
  if (stat === "gone") throw new Error("the process is gone");
  const pidfd = openPidfd(child.pid);
  cleanups.push(() => closeFd(pidfd));
  child.stdin.end();
  await child.exited;
  return { identity: { pid: child.pid, startTicks: stat.startTicks }, pidfd };
}

async function exitOf(received: ProcessEvent[]): Promise<ProcessEvent | undefined> {
  const exit = (): ProcessEvent | undefined => received.find(({ kind }) => kind === "exit");
  while (exit() === undefined) await Bun.sleep(5);
  return exit();
}

test("the status of the connector counts when the pidfd has none", async () => {
  const { received, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.handleReady(1);
  watches.handleExit(identity.pid, 0x300);
  expect(await exitOf(received)).toEqual({
    kind: "exit",
    ...identity,
    waitStatus: 0x300,
    evidence: "proc-event",
  });
});

test("the end of a process without a pidfd waits for exit events that are late", async () => {
  const { received, watches } = oldKernel();
  const { identity } = await endedProcess();
  watches.add(identity, null);
  while (received.length === 0) await Bun.sleep(5);
  expect(received).toEqual([{ kind: "over", ...identity }]);
  // Longer than an end with a pidfd waits.
  await Bun.sleep(300);
  watches.handleExit(identity.pid, 0x300);
  expect(await exitOf(received)).toMatchObject({ waitStatus: 0x300, evidence: "proc-event" });
  expect(received.length).toBe(2);
});

test.each([
  ["executes a program and ends", ["exec", 0x500]],
  ["ends", [0x500]],
] as const)(
  "another process that has the pid of an ended one, and %s, gives it no status",
  async (_what, signs) => {
    const { received, watches } = oldKernel();
    const { identity } = await endedProcess();
    watches.add(identity, null);
    while (received.length === 0) await Bun.sleep(5);
    watches.handleExit(identity.pid, 0x300);
    for (const sign of signs)
      if (sign === "exec") watches.handleExec(identity.pid);
      else watches.handleExit(identity.pid, sign);
    expect(await exitOf(received)).toMatchObject({ waitStatus: null });
  },
);

test("the status of the connector counts when it was reported before the watch", async () => {
  const { received, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.handleExit(identity.pid, 0x300);
  watches.add(identity, pidfd);
  watches.handleReady(1);
  expect(await exitOf(received)).toMatchObject({ waitStatus: 0x300, evidence: "proc-event" });
});

test("the last 256 exits of processes that are not watched are kept", async () => {
  const { identity, pidfd } = await endedProcess();
  for (const [others, found] of [
    [255, { waitStatus: 0x300, evidence: "proc-event" }],
    [256, { waitStatus: null }],
  ] as const) {
    const { received, watches } = oldKernel();
    watches.handleExit(identity.pid, 0x300);
    for (let pid = 1; pid <= others; pid++) watches.handleExit(10_000_000 + pid, 0);
    watches.add(identity, pidfd);
    watches.handleReady(1);
    expect(await exitOf(received)).toMatchObject(found);
  }
});

test("exits of other processes do not displace that of a watched one", async () => {
  const { received, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.handleExit(identity.pid, 0x300);
  for (let pid = 1; pid <= 300; pid++) watches.handleExit(10_000_000 + pid, 0);
  watches.handleReady(1);
  expect(await exitOf(received)).toMatchObject({ waitStatus: 0x300, evidence: "proc-event" });
});

test.each([
  ["another thread ended with the same status", { waitStatus: 0x300 }, 0x300],
  ["another thread ended with a different status", { waitStatus: null }, 0x500],
  ["the process executed another program", { waitStatus: null }, "exec"],
] as const)("an exit that was reported before the watch, and then %s", async (_then, found, event) => {
  const { received, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.handleExit(identity.pid, 0x300);
  if (event === "exec") watches.handleExec(identity.pid);
  else watches.handleThreadExit(identity.pid, event);
  watches.add(identity, pidfd);
  watches.handleReady(1);
  expect(await exitOf(received)).toMatchObject(found);
});

test("the exit of a thread alone is no status of its process", async () => {
  const { received, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.handleThreadExit(identity.pid, 0x500);
  watches.add(identity, pidfd);
  watches.handleReady(1);
  expect(await exitOf(received)).toMatchObject({ waitStatus: null });
});

test("the status of the first thread does not count when another thread ended with a different one", async () => {
  const { received, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.handleExit(identity.pid, 0);
  watches.handleReady(1);
  watches.handleThreadExit(identity.pid, 0x500);
  expect(await exitOf(received)).toMatchObject({
    waitStatus: null,
    reason: expect.stringContaining("its threads ended with different statuses"),
  });
});

test("a status that was reported before events were lost does not count", async () => {
  const { received, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.handleExit(identity.pid, 0);
  watches.handleLoss();
  watches.handleReady(1);
  expect(await exitOf(received)).toMatchObject({
    waitStatus: null,
    reason: expect.stringContaining("the kernel dropped its exit event"),
  });
});

test("the end of the first thread before another thread executes a program does not count", async () => {
  const { received, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.handleExit(identity.pid, 9);
  watches.handleExec(identity.pid);
  watches.handleReady(1);
  expect(await exitOf(received)).toMatchObject({ waitStatus: null });
});

test("an exit is reported once, whatever the number of its signs", async () => {
  const { received, watches } = oldKernel({ status: 0x100 });
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  for (let sign = 0; sign < 3; sign++) watches.handleReady(1);
  watches.handleExit(identity.pid, 0x100);
  watches.handleLoss();
  await Bun.sleep(150);
  expect(received).toEqual([{ kind: "exit", ...identity, waitStatus: 0x100, evidence: "pidfd" }]);
});

test("the end of a process is reported once and at once, before its status is known", async () => {
  const { received, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  for (let sign = 0; sign < 3; sign++) watches.handleReady(1);
  expect(received).toEqual([{ kind: "over", ...identity }]);
  await exitOf(received);
  expect(received.map(({ kind }) => kind)).toEqual(["over", "exit"]);
});

test("a ready key of a former watch does not end the present one", async () => {
  const { received, watches } = oldKernel({ status: 0 });
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.remove(identity);
  watches.add(identity, pidfd);
  watches.handleReady(1);
  expect(received).toEqual([]);
  watches.handleReady(2);
  expect(received).toHaveLength(1);
});

test("a process is polled when its pidfd cannot be added", async () => {
  const received: ProcessEvent[] = [];
  const readySet = { add: () => -28, remove: () => {} };
  const watches = new ExitWatches({
    host,
    emit: (event) => received.push(event),
    readySet,
    checkIntervalMs: 10,
  });
  cleanups.push(() => watches.clear());
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  expect(received).toEqual([]);
  expect(await exitOf(received)).toMatchObject(identity);
});

test("without exit events, the exit record is read until the parent has reaped the process", async () => {
  const received: ProcessEvent[] = [];
  const records: ReturnType<typeof readPidfdExit>[] = ["running", "running", "running", { status: 0x700 }];
  const watches = new ExitWatches({
    host,
    emit: (event) => received.push(event),
    readySet: { add: () => 0, remove: () => {} },
    checkIntervalMs: 1000,
    readsUntilReaped: true,
    readRecord: () => records.shift() ?? "unknown",
  });
  cleanups.push(() => watches.clear());
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.handleReady(1);
  expect(await exitOf(received)).toMatchObject({ waitStatus: 0x700, evidence: "pidfd" });
  expect(records).toEqual([]);
});
