import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Host, realHost } from "../host.ts";
import { parseEndState, readZombieStatus, showsStatusOfProcess } from "./endState.ts";

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
  expect(parseEndState(statLine(), 100)).toEqual({ state: "alive" });
  expect(parseEndState(statLine({ state: "Z", exitCode: 0x700 }), 100)).toEqual({
    state: "zombie",
    waitStatus: 0x700,
  });
  expect(parseEndState(statLine({ state: "Z", startTicks: 101 }), 100)).toEqual({ state: "gone" });
  expect(parseEndState("", 100)).toEqual({ state: "gone" });
});

test("a process whose first thread has ended is alive while another thread runs", () => {
  expect(parseEndState(statLine({ state: "Z", threads: 2 }), 100)).toEqual({ state: "alive" });
});

test("a name that looks like other fields does not change the state", () => {
  const hostile = statLine({ comm: "a) Z 1 (b", exitCode: 5 });
  expect(parseEndState(hostile, 100)).toEqual({ state: "alive" });
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
