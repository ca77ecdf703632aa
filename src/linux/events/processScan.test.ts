import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Host, realHost } from "../host.ts";
import { droppedExecs } from "./execFilter.ts";
import type { ProcessEvent } from "./processEvents.ts";
import { ProcessScan } from "./processScan.ts";

const RECHECK_WINDOW_MS = 1000;
const trees: string[] = [];
afterAll(() => {
  for (const tree of trees) rmSync(tree, { recursive: true });
});

/** A procfs in a directory, with the files that a scan reads. */
class FakeProc {
  readonly root = mkdtempSync(join(tmpdir(), "ffrtmp-proc-"));
  nowMs = 1_000_000;
  forks = 100;
  lastPid = 400;
  uptimeTicks = 50_000;
  readonly host: Host = { ...realHost(), procRoot: this.root, bootNow: () => this.nowMs };

  constructor() {
    trees.push(this.root);
    mkdirSync(`${this.root}/sys/kernel`, { recursive: true });
    writeFileSync(`${this.root}/sys/kernel/pid_max`, "32768\n");
    this.tick();
  }

  tick(): void {
    this.nowMs += 100;
    this.uptimeTicks += 10;
    writeFileSync(`${this.root}/stat`, `cpu  1 2 3\nprocesses ${this.forks}\nprocs_running 1\n`);
    writeFileSync(`${this.root}/loadavg`, `0.35 0.20 0.11 2/214 ${this.lastPid}\n`);
    writeFileSync(`${this.root}/uptime`, `${this.uptimeTicks / 100} 95331.02\n`);
  }

  fork(pid: number, { comm = "sh", exe = "/bin/sh", state = "S", flags = 0 } = {}): void {
    this.forks++;
    this.lastPid = pid;
    this.tick();
    rmSync(`${this.root}/${pid}`, { recursive: true, force: true });
    mkdirSync(`${this.root}/${pid}`);
    const fields: (string | number)[] = Array.from({ length: 50 }, () => 0);
    fields[0] = state;
    fields[9 - 3] = flags;
    fields[22 - 3] = this.uptimeTicks;
    writeFileSync(`${this.root}/${pid}/stat`, `${pid} (${comm}) ${fields.join(" ")}\n`);
    writeFileSync(`${this.root}/${pid}/status`, `Name:\t${comm}\nTgid:\t${pid}\nPid:\t${pid}\n`);
    this.become(pid, comm, exe);
    this.tick();
  }

  become(pid: number, comm: string, exe: string): void {
    writeFileSync(`${this.root}/${pid}/comm`, `${comm}\n`);
    writeFileSync(`${this.root}/${pid}/cmdline`, `${exe}\0`);
    rmSync(`${this.root}/${pid}/exe`, { force: true });
    symlinkSync(exe, `${this.root}/${pid}/exe`);
  }

  end(pid: number): void {
    rmSync(`${this.root}/${pid}`, { recursive: true });
  }
}

let proc: FakeProc;
beforeEach(() => {
  proc = new FakeProc();
});

function describeEvents(events: ProcessEvent[]): string[] {
  return events.map((event) => ("pid" in event ? `${event.kind} ${event.pid}` : event.kind));
}

test("only processes that are new since the first scan are reported", () => {
  proc.fork(401);
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  expect(describeEvents(scan.scan().events)).toEqual([]);
  proc.fork(402);
  expect(describeEvents(scan.scan().events)).toEqual(["exec 402"]);
  expect(describeEvents(scan.scan().events)).toEqual([]);
});

test("nothing is listed while no process is created", () => {
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  expect(scan.scan().wasListed).toBe(false);
  proc.fork(401);
  expect(scan.scan().wasListed).toBe(true);
  expect(scan.scan().wasListed).toBe(false);
});

/** Creates so many processes that checking a few pids is cheaper than listing all. */
function crowd(): void {
  for (let pid = 1001; pid <= 1100; pid++) proc.fork(pid);
}

test("when only a few pids are new, only those are checked", () => {
  crowd();
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.fork(1101);
  proc.end(1101);
  proc.fork(1102);
  expect(scan.scan()).toEqual({ events: [{ kind: "exec", pid: 1102, atMs: null }], wasListed: false });
  proc.fork(1103);
  expect(scan.scan()).toEqual({ events: [{ kind: "exec", pid: 1103, atMs: null }], wasListed: false });
  expect(scan.scan()).toEqual({ events: [], wasListed: false });
});

test("when only a few pids are new, those of threads are not reported", () => {
  crowd();
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.fork(1101);
  writeFileSync(`${proc.root}/1101/status`, "Name:\tsh\nTgid:\t1001\nPid:\t1101\n");
  expect(scan.scan()).toEqual({ events: [], wasListed: false });
});

test("a process that procfs did not show yet when its pid was allocated is found by the next scan", () => {
  crowd();
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.fork(1102);
  expect(describeEvents(scan.scan().events)).toEqual(["exec 1102"]);
  proc.fork(1101);
  proc.lastPid = 1104;
  proc.fork(1104);
  expect(scan.scan()).toEqual({
    events: ["1101", "1104"].map((pid) => ({ kind: "exec", pid: Number(pid), atMs: null })),
    wasListed: false,
  });
});

test("a new process under a known pid is reported when only a few pids are checked", () => {
  crowd();
  proc.fork(1101);
  proc.lastPid = 1100;
  proc.tick();
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.end(1101);
  proc.fork(1101);
  expect(scan.scan()).toEqual({ events: [{ kind: "exec", pid: 1101, atMs: null }], wasListed: false });
});

test("all processes are listed when there are more forks than pids between the cursors", () => {
  crowd();
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.fork(2000);
  proc.lastPid = 1100;
  proc.fork(1101);
  expect(describeEvents(scan.scan().events).sort()).toEqual(["exec 1101", "exec 2000"]);
});

test("all processes are listed each five minutes when there is a new one", () => {
  crowd();
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.nowMs += 290_000;
  proc.fork(1101);
  expect(scan.scan().wasListed).toBe(false);
  proc.nowMs += 10_000;
  expect(scan.scan().wasListed).toBe(false);
  proc.fork(1102);
  expect(scan.scan().wasListed).toBe(true);
  proc.fork(1103);
  expect(scan.scan().wasListed).toBe(false);
});

test("a process with the chosen pid of one that has ended is found once the latter is forgotten, after a minute", () => {
  crowd();
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.end(1050);
  proc.nowMs += 60_000;
  proc.fork(1101);
  expect(scan.scan()).toEqual({ events: [{ kind: "exec", pid: 1101, atMs: null }], wasListed: false });
  proc.fork(1050);
  proc.lastPid = 1101;
  proc.tick();
  expect(describeEvents(scan.scan().events)).toEqual(["exec 1050"]);
});

test("known processes are not read again", () => {
  proc.fork(401);
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  unlinkSync(`${proc.root}/401/stat`);
  proc.fork(402);
  expect(describeEvents(scan.scan().events)).toEqual(["exec 402"]);
});

test("another program or name of a process is reported within the recheck window, and not after it", () => {
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.fork(401);
  scan.scan();
  proc.become(401, "ffmpeg", "/usr/bin/ffmpeg");
  expect(describeEvents(scan.scan().events)).toEqual(["exec 401"]);
  proc.become(401, "encoder", "/usr/bin/ffmpeg");
  expect(describeEvents(scan.scan().events)).toEqual(["comm 401"]);
  proc.nowMs += RECHECK_WINDOW_MS;
  scan.scan();
  proc.become(401, "other", "/bin/other");
  expect(describeEvents(scan.scan().events)).toEqual([]);
});

test("a change within the recheck window is reported even when the next scan is later", () => {
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.fork(401);
  scan.scan();
  proc.become(401, "ffmpeg", "/usr/bin/ffmpeg");
  proc.nowMs += 10 * RECHECK_WINDOW_MS;
  expect(describeEvents(scan.scan().events)).toEqual(["exec 401"]);
});

test("a new process under the pid of a known process is reported", () => {
  proc.fork(401);
  proc.lastPid = 399;
  proc.tick();
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.end(401);
  proc.fork(401);
  expect(describeEvents(scan.scan().events)).toEqual(["exec 401"]);
});

test("the same process is not reported again when the kernel has passed its pid", () => {
  proc.fork(500);
  proc.lastPid = 450;
  proc.tick();
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.fork(600);
  expect(describeEvents(scan.scan().events)).toEqual(["exec 600"]);
});

test("an ended process is forgotten, so that its pid is new when it is allocated again", () => {
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.fork(401);
  scan.scan();
  proc.end(401);
  proc.fork(402);
  expect(describeEvents(scan.scan().events)).toEqual(["exec 402"]);
  proc.fork(401);
  expect(describeEvents(scan.scan().events)).toEqual(["exec 401"]);
});

test("kernel threads, zombies and processes that end during the scan are not reported", () => {
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  proc.fork(401, { flags: 0x200000 });
  proc.fork(402, { state: "Z" });
  proc.fork(403);
  unlinkSync(`${proc.root}/403/comm`);
  proc.fork(404);
  unlinkSync(`${proc.root}/404/stat`);
  expect(describeEvents(scan.scan().events)).toEqual([]);
});

test("every scan lists all processes where the kernel has no fork counter", () => {
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  writeFileSync(`${proc.root}/stat`, "cpu  1 2 3\n");
  expect([scan.scan().wasListed, scan.scan().wasListed]).toEqual([true, true]);
});

test("a known process is reported when its exec was dropped, and a new one once", () => {
  proc.fork(401);
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  const dropped = (...pids: number[]) => droppedExecs(new Set(pids));
  expect(describeEvents(scan.scan(dropped(401, 999)).events)).toEqual(["exec 401"]);
  expect(describeEvents(scan.scan().events)).toEqual([]);
  proc.fork(402);
  expect(describeEvents(scan.scan(dropped(402)).events)).toEqual(["exec 402"]);
  // Without a fork since the last scan.
  expect(describeEvents(scan.scan(dropped(401)).events)).toEqual(["exec 401"]);
});

test("the filter knows the lower 16 bits of pids only", () => {
  const high = 0x10000 + 401;
  proc.fork(401);
  proc.fork(high);
  const scan = new ProcessScan(proc.host, RECHECK_WINDOW_MS);
  const dropped = droppedExecs(new Set([401, 402]));
  expect(describeEvents(scan.scan(dropped).events)).toEqual(["exec 401", `exec ${high}`]);
  expect([401, high, high + 2].map(dropped.has)).toEqual([true, true, false]);
  // Few pids, and many of which few are dropped.
  for (const others of [0, 1000]) {
    const pids = new Set([401, high, ...Array.from({ length: others }, (_, index) => 1000 + index)]);
    expect(dropped.among(pids, high).toSorted((a, b) => a - b)).toEqual([401, high]);
  }
});
