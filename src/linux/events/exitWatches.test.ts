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

/** Watches over a kernel whose pidfds keep no exit record, as before Linux 6.15. */
function oldKernel(record: ReturnType<typeof readPidfdExit> = "unsupported") {
  const told: ProcessEvent[] = [];
  const readySet = { add: () => 0, remove: () => {} };
  const options = { host, emit: (event: ProcessEvent) => told.push(event), readySet, checkIntervalMs: 1000 };
  const watches = new ExitWatches({ ...options, readRecord: () => record });
  cleanups.push(() => watches.clear());
  return { told, watches };
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

async function exitOf(told: ProcessEvent[]): Promise<ProcessEvent | undefined> {
  const exit = (): ProcessEvent | undefined => told.find(({ kind }) => kind === "exit");
  while (exit() === undefined) await Bun.sleep(5);
  return exit();
}

test("the connector's status counts when the pidfd has none", async () => {
  const { told, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.handleReady(1);
  watches.handleExit(identity.pid, 0x300);
  expect(await exitOf(told)).toEqual({
    kind: "exit",
    ...identity,
    waitStatus: 0x300,
    evidence: "proc-event",
  });
});

test("the connector's status counts when it was told before the watch", async () => {
  const { told, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.handleExit(identity.pid, 0x300);
  watches.add(identity, pidfd);
  watches.handleReady(1);
  expect(await exitOf(told)).toMatchObject({ waitStatus: 0x300, evidence: "proc-event" });
});

test("a first thread's status that other threads contradict is not the process's", async () => {
  const { told, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.handleExit(identity.pid, 0);
  watches.handleReady(1);
  watches.handleThreadExit(identity.pid, 0x500);
  expect(await exitOf(told)).toMatchObject({
    waitStatus: null,
    reason: expect.stringContaining("its threads ended with different statuses"),
  });
});

test("a status that was told before events were lost is not relied on", async () => {
  const { told, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.handleExit(identity.pid, 0);
  watches.handleLoss();
  watches.handleReady(1);
  expect(await exitOf(told)).toMatchObject({
    waitStatus: null,
    reason: expect.stringContaining("the kernel dropped the event that told it"),
  });
});

test("the first thread's end before another thread's exec is not the process's", async () => {
  const { told, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.handleExit(identity.pid, 9);
  watches.handleExec(identity.pid);
  watches.handleReady(1);
  expect(await exitOf(told)).toMatchObject({ waitStatus: null });
});

test("an exit is told once, however many signs of it come", async () => {
  const { told, watches } = oldKernel({ status: 0x100 });
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  for (let sign = 0; sign < 3; sign++) watches.handleReady(1);
  watches.handleExit(identity.pid, 0x100);
  watches.handleLoss();
  await Bun.sleep(150);
  expect(told).toEqual([{ kind: "exit", ...identity, waitStatus: 0x100, evidence: "pidfd" }]);
});

test("that a process is over is told once and at once, though how it ended is not known yet", async () => {
  const { told, watches } = oldKernel();
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  for (let sign = 0; sign < 3; sign++) watches.handleReady(1);
  expect(told).toEqual([{ kind: "over", ...identity }]);
  await exitOf(told);
  expect(told.map(({ kind }) => kind)).toEqual(["over", "exit"]);
});

test("a readiness that belongs to a former watch is not this one's", async () => {
  const { told, watches } = oldKernel({ status: 0 });
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  watches.remove(identity);
  watches.add(identity, pidfd);
  watches.handleReady(1);
  expect(told).toEqual([]);
  watches.handleReady(2);
  expect(told).toHaveLength(1);
});

test("a process is looked at where its pidfd cannot report", async () => {
  const told: ProcessEvent[] = [];
  const readySet = { add: () => -28, remove: () => {} };
  const watches = new ExitWatches({ host, emit: (event) => told.push(event), readySet, checkIntervalMs: 10 });
  cleanups.push(() => watches.clear());
  const { identity, pidfd } = await endedProcess();
  watches.add(identity, pidfd);
  expect(told).toEqual([]);
  expect(await exitOf(told)).toMatchObject(identity);
});
