import { afterEach, expect } from "bun:test";
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { realHost } from "../../src/linux/host.ts";
import { readStat } from "../../src/linux/proc/stat.ts";
import { lacksCommand, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const STALL = join(import.meta.dir, "../support/programs/stall.pl");

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());
const perlTest = testIf(lacksLimits() ?? lacksCommand("perl"));
const fuseTest = testIf(
  lacksLimits() ?? lacksCommand("perl") ?? (existsSync("/dev/fuse") ? undefined : "needs /dev/fuse"),
);

const opened: number[] = [];
afterEach(() => {
  for (const fd of opened.splice(0)) closeSync(fd);
});

limitsTest(
  "watch governs and stops although stderr is a full pipe, and reports the messages it dropped",
  async () => {
    const box = sandbox();
    const pipe = openFullPipe(box.path("stderr"));
    const { name, path } = box.program("sleep");
    const daemon = box.start(["watch", "--target", name, "--cpu-quota", "50"], { stderr: pipe.writer });
    const { pid } = box.spawn([path, "1000"]);
    await until("the workload is governed", async () =>
      (await box.json(["ps"])).some((job: { pid: number }) => job.pid === pid),
    );

    pipe.empty();
    const second = box.spawn([path, "1001"]);
    await until("the second workload is governed", async () => (await box.json(["ps"])).length === 2);
    daemon.kill("SIGTERM");
    expect(await exitOf(daemon)).toBe(0);
    const text = pipe.empty();
    expect(text).toMatch(/^ffrtmp: stderr had no room for \d+ messages before this one\n/);
    expect(text).toContain(`Attaching to PID ${second.pid} `);
  },
);

limitsTest("run returns the exit code of its command although stderr is a full pipe", async () => {
  const { writer } = openFullPipe(sandbox().path("stderr"));
  const wrapper = sandbox().start(["run", "--job-id", "unread", "--", "sh", "-c", "exit 3"], {
    stderr: writer,
  });
  expect(await exitOf(wrapper)).toBe(3);
  const { result } = await sandbox().json(["inspect", "unread"]);
  expect(result).toMatchObject({ exit_code: 3 });
});

fuseTest("watch governs and stops while processes keep their own mmap lock", async () => {
  const box = sandbox();
  const sleep = box.program("sleep");
  const early = await startStall(["perl", STALL, "lock", mount("early"), sleep.path]);
  await until("it keeps its lock", () => isAsleepForGood(early));
  const watch = startWatch([sleep.name]);
  // It shows its name, and governing needs no more.
  await watch.attachesTo(early);
  const { pid } = box.spawn([sleep.path, "1000"]);
  await watch.attachesTo(pid);
  // No event reports a fork: the daemon finds this process by a scan.
  const late = await startStall(["perl", STALL, "lock", mount("late"), sleep.path]);
  await watch.attachesTo(late);
  await until("the late reads are counted", async () => (await box.json(["ps", "--daemon"])).late_reads > 0);
  expect(watch.log()).toContain(`PID ${early} does not let its arguments or environment be read`);
  await watch.stops();
});

fuseTest("watch governs and stops while the file system of an executable does not answer", async () => {
  const box = sandbox();
  const { name, path } = box.program("sleep");
  const command = ["perl", STALL, "exec", mount("dead"), path, "1000"];
  const server = box.spawn(command, { stdin: "pipe" });
  const lines = readLines(server);
  const pid = Number(await lines());
  box.adopt(pid);
  await until("it runs", () => readFileSync(`/proc/${pid}/comm`, "utf8").trim() === name.slice(0, 15));
  const input = server.stdin as Bun.FileSink;
  input.write("\n");
  await input.flush();
  expect(await lines()).toBe("stuck");
  const watch = startWatch([name]);
  await watch.attachesTo(pid);
  await watch.attachesTo(box.spawn([path, "1000"]).pid);
  await watch.stops();
});

perlTest("processes that lock their own directories in procfs delay only themselves", async () => {
  const box = sandbox();
  const perl = box.program("perl");
  const sleep = box.program("sleep");
  const lockSelf = 'open $d, "<", "/proc/$$" or die; flock $d, 2 or die; print "$$\\n"; sleep 1000';
  const script =
    '$| = 1; $program = shift; for (1 .. 60) { exec $program, "-e", $ARGV[0] unless fork } sleep 1000';
  const lines = readLines(box.spawn(["perl", "-e", script, perl.path, `$| = 1; ${lockSelf}`]));
  const lockers: number[] = [];
  while (lockers.length < 60) lockers.push(Number(await lines()));
  for (const pid of lockers) box.adopt(pid);
  // The last of the scan, and yet the first that is governed.
  const { pid } = box.spawn([sleep.path, "1000"]);
  const watch = startWatch([perl.name, sleep.name]);
  for (const locker of lockers) await watch.attachesTo(locker);
  const order = [...watch.log().matchAll(/Attaching to PID (\d+) /g)].map(([, each]) => Number(each));
  expect(lockers.filter((locker) => order.indexOf(locker) < order.indexOf(pid))).toEqual([]);
  await watch.stops();
});

function mount(name: string): string {
  mkdirSync(sandbox().path(name));
  // The children run as another user.
  chmodSync(sandbox().directory, 0o711);
  return sandbox().path(name);
}

/** Starts a command that prints the PID of a child, and returns that PID. */
async function startStall(command: string[]): Promise<number> {
  const pid = Number(await readLines(sandbox().spawn(command))());
  sandbox().adopt(pid);
  return pid;
}

/** Returns a function that reads the next line of a process. */
function readLines(child: Bun.Subprocess): () => Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  const reader = (child.stdout as ReadableStream<Uint8Array>).getReader();
  return async () => {
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`the process printed only ${JSON.stringify(text)}`);
      text += decoder.decode(value);
    }
    const end = text.indexOf("\n");
    const line = text.slice(0, end);
    text = text.slice(end + 1);
    return line;
  };
}

/** Returns whether a process sleeps where no signal wakes it. */
function isAsleepForGood(pid: number): boolean {
  const stat = readStat(realHost(), pid);
  return stat !== "gone" && stat.state === "D";
}

function startWatch(targets: string[]) {
  const box = sandbox();
  const log = box.path("watch.log");
  const flags = [
    ...targets.flatMap((name) => ["--target", name]),
    "--cpu-quota",
    "50",
    "--scan-interval",
    "100ms",
  ];
  const daemon = box.start(["watch", ...flags], { stderr: openSync(log, "w") });
  const read = () => readFileSync(log, "utf8");
  return {
    log: read,
    attachesTo: (pid: number) =>
      until(`PID ${pid} is governed`, () => read().includes(`Attaching to PID ${pid} `)),
    async stops() {
      daemon.kill("SIGTERM");
      expect(await exitOf(daemon)).toBe(0);
    },
  };
}

/** Returns the exit code of a process; fails when it does not end. */
async function exitOf(child: Bun.Subprocess): Promise<number | null> {
  await until("the process has ended", () => child.exitCode !== null);
  return child.exitCode;
}

/** Makes a named pipe without room. `writer` is a blocking descriptor of it. */
function openFullPipe(path: string): { writer: number; empty(): string } {
  Bun.spawnSync(["mkfifo", path]);
  const own = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  opened.push(own, writer);
  const filler = Buffer.alloc(4096, "x");
  repeat(() => writeSync(own, filler));
  const bytes = Buffer.alloc(4096);
  const empty = () => {
    let text = "";
    repeat(() => {
      text += bytes.toString("utf8", 0, readSync(own, bytes));
    });
    return text;
  };
  return { writer, empty };
}

/** Repeats an action until it would block. */
function repeat(action: () => void): void {
  try {
    for (;;) action();
  } catch (error) {
    if ((error as { code?: string }).code !== "EAGAIN") throw error;
  }
}
