import { expect, test } from "bun:test";
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { procTree, statLine } from "../../../test/support/procTree.ts";
import { realHost } from "../host.ts";
import { readStat } from "./stat.ts";
import { readCredentials, readStatusStart } from "./status.ts";
import {
  isProcess,
  listPids,
  listThreads,
  listTree,
  moveStartedThreads,
  readArguments,
  readCommandLine,
  readExecutable,
  readOwner,
  readWorkingDirectory,
} from "./table.ts";

/** Reads until the result is as expected; the time limit of the test ends the wait. */
async function until<T>(read: () => T, isExpected: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = read();
    if (isExpected(value)) return value;
    await Bun.sleep(2);
  }
}

test("listTree() returns the process first, then its descendants, parents before children", async () => {
  const host = realHost();
  const shell = Bun.spawn(["sh", "-c", "sleep 600 & sh -c 'sleep 600 & wait' & wait"], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  try {
    const tree = await until(
      () => listTree(host, shell.pid),
      (pids) =>
        pids.filter((pid) => readArguments(host, pid)[0] === "sleep").length === 2 && pids.length === 4,
    );
    expect(tree[0]).toBe(shell.pid);
    for (const pid of tree.slice(1)) {
      const stat = readStat(host, pid);
      if (stat === "gone") throw new Error(`${pid} is gone`);
      expect(tree.indexOf(stat.ppid)).toBeLessThan(tree.indexOf(pid));
    }
    expect(listPids(host)).toEqual(expect.arrayContaining(tree));
  } finally {
    for (const pid of listTree(host, shell.pid)) process.kill(pid, "SIGKILL");
    shell.kill("SIGKILL");
    await shell.exited;
  }
});

test("listTree() includes children that were started by a thread other than the first", async () => {
  const host = realHost();
  const code = `
    const sleeper = Bun.spawn(["sleep", "600"], { stdio: ["ignore", "ignore", "ignore"] });
    postMessage(sleeper.pid);
    onmessage = () => { sleeper.kill("SIGKILL"); };
    await sleeper.exited;
    postMessage("ended");
  `;
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const next = (): Promise<number | string> =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
  const pid = await next();
  try {
    expect(listThreads(host, process.pid).length).toBeGreaterThan(1);
    expect(listTree(host, process.pid)).toContain(pid as number);
  } finally {
    const ended = next();
    worker.postMessage("end");
    await ended;
    worker.terminate();
  }
});

test("listTree() scans all processes where the kernel has no children files (CONFIG_PROC_CHILDREN)", () => {
  using proc = procTree({
    "10/stat": statLine({ pid: 10, ppid: 1 }),
    "10/task/10/stat": "",
    "11/stat": statLine({ pid: 11, ppid: 10, comm: "a) S 99 (b" }),
    "11/task/11/stat": "",
    "12/stat": statLine({ pid: 12, ppid: 11 }),
    "12/task/12/stat": "",
    "13/stat": statLine({ pid: 13, ppid: 1 }),
    "13/task/13/stat": "",
    "self/stat": statLine({ pid: 10, ppid: 10 }),
  });
  expect(listTree(proc.host, 10)).toEqual([10, 11, 12]);
});

test("listTree() returns each process once, even when two parents list it", () => {
  using proc = procTree({
    "10/task/10/children": "11 12 ",
    "11/task/11/children": "12 10 ",
    "12/task/12/children": "",
  });
  expect(listTree(proc.host, 10)).toEqual([10, 11, 12]);
});

test("listTree() of a process that is gone returns only its pid", () => {
  using proc = procTree({ "1/stat": "" });
  expect(listTree(proc.host, 10)).toEqual([10]);
  expect(listThreads(proc.host, 10)).toEqual([]);
});

test("listPids() ignores other entries of /proc", () => {
  using proc = procTree({
    "10/stat": "",
    "7/stat": "",
    "self/stat": "",
    "sys/a": "",
    uptime: "",
    "0/stat": "",
    "-3/x": "",
  });
  expect(listPids(proc.host).sort()).toEqual([10, 7]);
});

test.each([
  ["ends with the NUL of its last argument", "ffmpeg\0-i\0in.mp4\0", ["ffmpeg", "-i", "in.mp4"]],
  ["has an empty argument in the middle", "ffmpeg\0-metadata\0\0out\0", ["ffmpeg", "-metadata", "", "out"]],
  ["has an empty last argument", "ffmpeg\0-i\0\0", ["ffmpeg", "-i", ""]],
  ["has spaces and line breaks in an argument", "sh\0-c\0a b\nc\0", ["sh", "-c", "a b\nc"]],
  ["was overwritten with a title", "nginx: worker process", ["nginx: worker process"]],
  ["was erased", "", []],
])("readArguments() reads a command line that %s", (_, text, words) => {
  using proc = procTree({ "10/cmdline": text });
  expect(readArguments(proc.host, 10)).toEqual(words);
});

test("a process that is gone has no arguments, executable, directory or owner", () => {
  using proc = procTree({});
  expect(readArguments(proc.host, 10)).toEqual([]);
  expect(readExecutable(proc.host, 10)).toBeUndefined();
  expect(readWorkingDirectory(proc.host, 10)).toBeUndefined();
  expect(readOwner(proc.host, 10)).toBeUndefined();
});

test("readExecutable() returns the name of an executable that was replaced while it runs", () => {
  using proc = procTree({ "10/exe": "→ /usr/bin/ffmpeg (deleted)", "10/cwd": "→ /srv/my videos" });
  expect(readExecutable(proc.host, 10)).toBe("/usr/bin/ffmpeg");
  expect(readWorkingDirectory(proc.host, 10)).toBe("/srv/my videos");
});

test("the readers return the properties of a real process", async () => {
  const host = realHost();
  const sleeper = Bun.spawn(["sleep", "600"], { cwd: "/", stdio: ["ignore", "ignore", "ignore"] });
  try {
    await until(
      () => readArguments(host, sleeper.pid),
      ([name]) => name === "sleep",
    );
    expect(readArguments(host, sleeper.pid)).toEqual(["sleep", "600"]);
    expect(readExecutable(host, sleeper.pid)).toBe(realpathSync(Bun.which("sleep") as string));
    expect(readWorkingDirectory(host, sleeper.pid)).toBe("/");
    expect(readOwner(host, sleeper.pid)).toBe(process.getuid?.() as number);
    expect(listThreads(host, sleeper.pid)).toEqual([sleeper.pid]);
  } finally {
    sleeper.kill("SIGKILL");
    await sleeper.exited;
  }
});

test("readCommandLine() reads no more than the limit, and cuts between two characters", () => {
  using proc = procTree({ "10/cmdline": `sleep\0${"é".repeat(40)}\0`, "11/cmdline": "sleep\x00600\0" });
  expect(readCommandLine(proc.host, 10, 9)).toEqual({ words: ["sleep", "é"], isCut: true });
  expect(readCommandLine(proc.host, 10, 10)).toEqual({ words: ["sleep", "éé"], isCut: true });
  expect(readCommandLine(proc.host, 10, 6)).toEqual({ words: ["sleep"], isCut: true });
  expect(readCommandLine(proc.host, 11, 10)).toEqual({ words: ["sleep", "600"], isCut: false });
  expect(readCommandLine(proc.host, 11, 9)).toEqual({ words: ["sleep", "600"], isCut: true });
});

test("a process with 65536 groups has a status of 700 KB, of which the start is read", () => {
  const groups = Array.from({ length: 65536 }, (_, each) => 1_000_000_000 + each).join(" ");
  const ids = "Uid:\t7\t1001\t7\t7\nGid:\t7\t1002\t7\t7\n";
  using proc = procTree({ "10/status": `Name:\tx\nTgid:\t10\n${ids}Groups:\t${groups}\nVmRSS:\t7 kB\n` });
  expect(readStatusStart(proc.host, 10).length).toBeLessThanOrEqual(2048);
  expect(isProcess(proc.host, 10)).toBeTrue();
  expect(readCredentials(proc.host, 10)).toEqual({ uid: 1001, gid: 1002 });
});

test("moveStartedThreads() moves new threads that are in the job's cgroup, and those that these have started", () => {
  const [outside, inside] = ["4:cpu:/\n", "4:cpu:/ffrtmp-job\n"];
  const task = (tid: number, name = "cgroup") => `${process.pid}/task/${tid}/${name}`;
  using proc = procTree({
    [task(process.pid)]: outside,
    [task(1000)]: inside,
    [task(1001)]: outside,
    [task(1002)]: inside,
  });
  const moved: number[] = [];
  moveStartedThreads(proc.host, [process.pid, 1000], (tid) => {
    moved.push(tid);
    // Born in the cgroup before its creator was moved.
    if (tid !== 1002) return;
    mkdirSync(join(proc.host.procRoot, task(1003, "")), { recursive: true });
    writeFileSync(join(proc.host.procRoot, task(1003)), inside);
  });
  expect(moved).toEqual([1002, 1003]);
});
