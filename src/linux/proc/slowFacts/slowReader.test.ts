import { afterEach, expect, test } from "bun:test";
import { closeSync, constants, existsSync, openSync, rmSync } from "node:fs";
import { procTree, statLine } from "../../../../test/support/procTree.ts";
import { until } from "../../../../test/support/sandbox.ts";
import { type Host, realHost } from "../../host.ts";
import { readStat } from "../stat.ts";
import type { SlowRead } from "./slowFacts.ts";
import { SlowReader } from "./slowReader.ts";

const clean: (() => void)[] = [];
afterEach(() => {
  for (const each of clean.splice(0).reverse()) each();
});

const START_TICKS = 123456;
const argumentsOf = (pid: number): SlowRead => ({ kind: "arguments", pid, startTicks: START_TICKS });

/** Makes a procfs of processes with the argument `word`, and a reader of it that adds late reads to `late`. */
function open(pids: number[]): { host: Host; reader: SlowReader; late: SlowRead[] } {
  const files = pids.flatMap((pid) => [
    [`${pid}/stat`, statLine({ pid, startTicks: START_TICKS })],
    [`${pid}/cmdline`, "ffmpeg\0word\0"],
    [`${pid}/environ`, "TIER=gold\0"],
  ]);
  const tree = procTree(Object.fromEntries(files));
  const late: SlowRead[] = [];
  const reader = new SlowReader(tree.host, (read) => late.push(read));
  clean.push(
    () => tree[Symbol.dispose](),
    () => reader.stop(),
  );
  return { host: tree.host, reader, late };
}

/** Replaces cmdline by a named pipe, so that reading it waits for the returned function. */
function block({ procRoot }: Host, pid: number): () => void {
  const path = `${procRoot}/${pid}/cmdline`;
  rmSync(path);
  Bun.spawnSync(["mkfifo", path]);
  const release = () => {
    if (existsSync(path)) closeSync(openSync(path, constants.O_RDWR));
  };
  clean.push(release);
  return release;
}

const KNOWN = {
  program: "true 0 0 0",
  line: { words: ["ffmpeg", "word"], isCut: false },
  runsOurFile: false,
};

test("reads arguments, environment and paths", async () => {
  const { reader, host } = open([10]);
  expect(await reader.read(argumentsOf(10))).toEqual(KNOWN);
  expect(await reader.read({ ...argumentsOf(10), kind: "environment" } as SlowRead)).toEqual({
    variables: new Map([["TIER", "gold"]]),
    isCut: false,
  });
  expect(await reader.read({ kind: "path", path: `${host.procRoot}/10/../10` })).toEqual({
    resolved: `${host.procRoot}/10`,
  });
});

test("a process that runs the same file is recognized", async () => {
  const host = realHost();
  const reader = new SlowReader(host);
  clean.push(() => reader.stop());
  const stat = readStat(host, process.pid);
  if (stat === "gone") throw new Error("procfs does not show this process");
  const read = { kind: "arguments", pid: process.pid, startTicks: stat.startTicks } as const;
  expect(await reader.read(read)).toMatchObject({ runsOurFile: true });
});

test("nothing is returned about another process with the same PID, or one that is gone", async () => {
  const { reader } = open([10]);
  const other = { kind: "arguments", pid: 10, startTicks: START_TICKS - 1 } as const;
  expect(await Promise.all([other, argumentsOf(11)].map((read) => reader.read(read)))).toEqual([
    undefined,
    undefined,
  ]);
});

test("a process that delays its facts delays no others, in whichever order they are read", async () => {
  // On a machine without an idle CPU, the others can take longer than a process may delay its facts.
  await until("the others are read first", async () => {
    const { reader, host, late } = open([10, 11, 12]);
    block(host, 11);
    let isLate = false;
    const blocked = reader.read(argumentsOf(11)).finally(() => {
      isLate = true;
    });
    const others = await Promise.all([10, 12].map((pid) => reader.read(argumentsOf(pid))));
    const wereFirst = !isLate;
    expect(await blocked).toBe("late");
    if (!wereFirst) return false;
    expect(others).toEqual([KNOWN, KNOWN]);
    expect(late).toEqual([argumentsOf(11)]);
    expect(reader.counts).toEqual({ late: 1, skipped: 0 });
    return true;
  });
}, 60_000);

test("a process that delays its facts is not tried again before they are read", async () => {
  const { reader, host } = open([10]);
  const release = block(host, 10);
  expect(await reader.read(argumentsOf(10))).toBe("late");
  expect(await reader.read(argumentsOf(10))).toBe("late");
  expect(reader.counts).toEqual({ late: 1, skipped: 1 });
  release();
  rmSync(`${host.procRoot}/10/cmdline`);
  await until("it is tried again", async () => (await reader.read(argumentsOf(10))) !== "late");
});

test("the processes of one user block only some threads", async () => {
  const pids = [10, 11, 12, 13, 14];
  const { reader, host } = open([...pids, 15]);
  const releases = pids.map((pid) => block(host, pid));
  const answers = await Promise.all(pids.map((pid) => reader.read(argumentsOf(pid))));
  expect(answers).toEqual(pids.map(() => "late"));
  expect(reader.counts).toEqual({ late: 2, skipped: 3 });
  // All processes of this procfs belong to one user.
  expect(await reader.read(argumentsOf(15))).toBe("late");
  for (const release of releases) release();
  await until("the threads read again", async () => (await reader.read(argumentsOf(15))) !== "late");
});
