import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Host, realHost } from "../host.ts";
import {
  type ExitObservations,
  parseEndState,
  readZombieStatus,
  selectEvidence,
  showsStatusOfProcess,
} from "./exitEvidence.ts";

const NO_OBSERVATIONS: ExitObservations = {
  record: "unsupported",
  zombieStatus: null,
  reported: "none",
  eventsLost: false,
};

test("the exit record behind the pidfd wins at once over all other evidence", () => {
  const observations: ExitObservations = {
    record: { status: 0x500 },
    zombieStatus: 0,
    reported: 0,
    eventsLost: true,
  };
  for (const waitIsOver of [false, true]) {
    expect(selectEvidence(observations, waitIsOver)).toEqual({ waitStatus: 0x500, evidence: "pidfd" });
  }
});

test("weaker evidence counts only after the wait for better evidence", () => {
  const zombie: ExitObservations = {
    ...NO_OBSERVATIONS,
    record: "running",
    zombieStatus: 0x100,
    reported: 0x200,
  };
  expect(selectEvidence(zombie, false)).toBe("wait");
  expect(selectEvidence(zombie, true)).toEqual({ waitStatus: 0x100, evidence: "proc-stat" });
  const reported: ExitObservations = { ...NO_OBSERVATIONS, reported: 11 };
  expect(selectEvidence(reported, false)).toBe("wait");
  expect(selectEvidence(reported, true)).toEqual({ waitStatus: 11, evidence: "proc-event" });
});

test("without evidence the status is unknown with a reason, never 0", () => {
  for (const [observations, reason] of [
    [
      NO_OBSERVATIONS,
      "pidfds of this kernel keep no exit record (Linux 6.15 does), and no exit event arrived",
    ],
    [
      { ...NO_OBSERVATIONS, record: "none", eventsLost: true },
      "the process has no pidfd, and the kernel dropped its exit event",
    ],
    [
      { ...NO_OBSERVATIONS, record: "unknown", reported: "conflicting" },
      "the pidfd has no exit record, and its threads ended with different statuses",
    ],
    [{ ...NO_OBSERVATIONS, record: "running" }, "its parent has not reaped it, and no exit event arrived"],
  ] as const) {
    expect(selectEvidence(observations, true)).toEqual({ waitStatus: null, evidence: null, reason });
  }
});

function statLine({
  state = "S",
  threads = 1,
  startTicks = 100,
  exitCode = 0,
  comm = "ffmpeg",
} = {}): string {
  const fields: (string | number)[] = Array.from({ length: 50 }, () => 0);
  fields[0] = state;
  fields[20 - 3] = threads;
  fields[22 - 3] = startTicks;
  fields[52 - 3] = exitCode;
  return `4026 (${comm}) ${fields.join(" ")}\n`;
}

const trees: string[] = [];
afterAll(() => {
  for (const tree of trees) rmSync(tree, { recursive: true });
});

function hostWith(files: Record<string, string>): Host & { procRoot: string } {
  const procRoot = mkdtempSync(join(tmpdir(), "ffrtmp-proc-"));
  trees.push(procRoot);
  mkdirSync(`${procRoot}/4026`);
  mkdirSync(`${procRoot}/sys/kernel`, { recursive: true });
  for (const [path, text] of Object.entries(files)) writeFileSync(`${procRoot}/${path}`, text);
  return { ...realHost(), procRoot };
}

test("a process is alive, a zombie with its status, or gone", () => {
  expect(parseEndState(statLine(), 100)).toBe("alive");
  expect(parseEndState(statLine({ state: "Z", exitCode: 0x700 }), 100)).toEqual({ zombieStatus: 0x700 });
  expect(parseEndState(statLine({ state: "Z", startTicks: 101 }), 100)).toBe("gone");
  expect(parseEndState("", 100)).toBe("gone");
});

test("a process whose first thread has ended is alive while another thread runs", () => {
  expect(parseEndState(statLine({ state: "Z", threads: 2 }), 100)).toBe("alive");
});

test("a name that looks like other fields does not change the state", () => {
  const hostile = statLine({ comm: "a) Z 1 (b", exitCode: 5 });
  expect(parseEndState(hostile, 100)).toBe("alive");
});

test("the status of a zombie is unknown where procfs hides it and shows 0", () => {
  const process = { pid: 4026, startTicks: 100 };
  const allowed = hostWith({ "4026/stat": statLine({ state: "Z", exitCode: 0x100 }) });
  expect(readZombieStatus(allowed, process)).toBe(0x100);
  const alive = hostWith({ "4026/stat": statLine() });
  expect(readZombieStatus(alive, process)).toBeNull();
  symlinkSync("/bin/sh", `${allowed.procRoot}/4026/exe`);
  expect(readZombieStatus(allowed, process)).toBeNull();
});

test("procfs shows the status of the whole process from Linux 5.17 on", () => {
  for (const [release, isShown] of [
    ["5.16.20", false],
    ["5.17.0-rc1", true],
    ["6.1.0-18-amd64", true],
    ["4.18.0-553.el8", false],
    ["nonsense", false],
  ] as const) {
    expect(showsStatusOfProcess(hostWith({ "sys/kernel/osrelease": `${release}\n` }))).toBe(isShown);
  }
});
