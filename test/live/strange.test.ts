import { expect } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  eventually,
  isRunning,
  lacksCommand,
  lacksRoot,
  readProc,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const TARGET = "strange-one";
const lacksPerl = lacksCommand("perl");

/** Perl code that waits for the file `go`, so that a test decides when the process continues. */
const awaitGo = (go: string): string => `select(undef, undef, undef, 0.01) until -e '${go}';`;

interface Watcher {
  /** The log so far. */
  log(): string;
  /** Waits for the first job and returns its id. */
  onlyJob(): Promise<string>;
  /** Waits for a number of results and returns them, the latest first. */
  // biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
  results(count: number): Promise<any[]>;
  daemon: Bun.Subprocess;
}

function watch(box: Sandbox, target = TARGET, flags: string[] = []): Watcher {
  const logPath = box.path(`watch-${Math.random()}.log`);
  const stderr = openSync(logPath, "a");
  const args = ["watch", "--target", target, "--scan-interval", "300ms", ...flags];
  const daemon = box.start(args, { stdout: "ignore", stderr });
  const log = (): string => readFileSync(logPath, "utf8");
  return {
    log,
    daemon,
    onlyJob: () => eventually("a job is governed", () => / as job (\S+)/.exec(log())?.[1] ?? undefined),
    results: (count) =>
      eventually(`${count} results are recorded`, async () => {
        if ((log().match(/ JOB auto-/g) ?? []).length < count) return undefined;
        const results = await box.json(["history"]);
        return results.length >= count ? results : undefined;
      }),
  };
}

/** Copies a program under the target's name into a directory. */
function copyOf(box: Sandbox, program: string, name = TARGET): string {
  const directory = box.path("bin");
  mkdirSync(directory, { recursive: true });
  const path = join(directory, name);
  copyFileSync(realpathSync(Bun.which(program) ?? program), path);
  chmodSync(path, 0o755);
  return path;
}

function go(box: Sandbox, name = "go"): void {
  writeFileSync(box.path(name), "");
}

function expectUnharmed(watcher: Watcher): void {
  expect(watcher.daemon.exitCode).toBeNull();
  expect(watcher.log()).not.toMatch(/Error|\bat .*:\d+:\d+/);
}

testIf(lacksPerl)(
  "a process that executes one program after another is governed once, under the matching name",
  async () => {
    const box = sandbox();
    const target = copyOf(box, "perl");
    const watcher = watch(box);
    const last = `${awaitGo(box.path("last"))} exit 9`;
    const second = `${awaitGo(box.path("second"))} exec 'perl', '-e', $ENV{LAST}`;
    const child = box.spawn(
      ["perl", "-e", `${awaitGo(box.path("first"))} exec '${target}', '-e', $ENV{SECOND}`],
      {
        env: { SECOND: second, LAST: last },
      },
    );
    go(box, "first");
    const job = await watcher.onlyJob();
    expect(job).toBe(`auto-${TARGET}-${child.pid}`);
    go(box, "second");
    await until("the process runs its last program", () => readProc(child.pid, "comm") === "perl\n");
    go(box, "last");
    expect(await watcher.results(1)).toMatchObject([{ job_id: job, pid: child.pid, exit_code: 9 }]);
    expectUnharmed(watcher);
  },
);

testIf(lacksPerl)("a process that changes to a matching name is governed from then on", async () => {
  const box = sandbox();
  const watcher = watch(box);
  await until("the daemon watches", () => watcher.log().includes("Watching"));
  const child = box.spawn(["perl", "-e", `$0 = '${TARGET}'; ${awaitGo(box.path("go"))} exit 3`]);
  expect(await watcher.onlyJob()).toBe(`auto-${TARGET}-${child.pid}`);
  go(box);
  expect(await watcher.results(1)).toMatchObject([{ pid: child.pid, exit_code: 3 }]);
  expectUnharmed(watcher);
});

testIf(lacksPerl)("a process that changes from a matching name stays governed to its end", async () => {
  const box = sandbox();
  const target = copyOf(box, "perl");
  const watcher = watch(box);
  const child = box.spawn([
    target,
    "-e",
    `$| = 1; ${awaitGo(box.path("rename"))} $0 = 'else'; print 1; ${awaitGo(box.path("go"))} kill TERM => $$`,
  ]);
  const job = await watcher.onlyJob();
  go(box, "rename");
  await until("the process has another name", () => readProc(child.pid, "comm") === "else\n");
  const restarted = watch(box);
  await until("a second daemon is refused", () => restarted.log().includes("another ffrtmp watch"));
  go(box);
  expect(await watcher.results(1)).toMatchObject([{ job_id: job, exit_code: null, signal: "SIGTERM" }]);
  expectUnharmed(watcher);
});

testIf(lacksPerl)("no exit code of a process that lives for 50 ms is wrong", async () => {
  const box = sandbox();
  const target = copyOf(box, "perl");
  const watcher = watch(box);
  await until("the daemon watches", () => watcher.log().includes("Watching"));
  const codes = new Map<number, number>();
  for (let code = 1; code <= 20; code++) {
    const child = box.spawn([target, "-e", `select(undef, undef, undef, 0.05); exit ${code}`]);
    codes.set(child.pid, code);
    await child.exited;
  }
  await until("no job is open", async () => (await box.json(["ps"])).length === 0);
  const results = await box.json(["history"]);
  expect(results.length).toBeGreaterThan(0);
  for (const { pid, exit_code, exit_evidence } of results) {
    expect({ pid, exit_code, known: exit_evidence !== null }).toEqual({
      pid,
      exit_code: codes.get(pid) as number,
      known: true,
    });
  }
  expectUnharmed(watcher);
});

const LEADERLESS = `
import ctypes, os, sys, threading, time
def rest():
    while not os.path.exists(sys.argv[1]): time.sleep(0.01)
    os._exit(7)
threading.Thread(target=rest).start()
while not os.path.exists(sys.argv[2]): time.sleep(0.01)
ctypes.CDLL(None).pthread_exit(None)
`;

testIf(lacksPerl ?? lacksCommand("python3"))(
  "a process whose first thread has ended is governed until the last one ends",
  async () => {
    const box = sandbox();
    const python = Bun.spawnSync(["python3", "-c", "import sys; print(sys.executable)"])
      .stdout.toString()
      .trim();
    const first = watch(box, "leaderless");
    const words = [python, "-c", LEADERLESS, box.path("go"), box.path("leave")];
    const child = box.spawn(["perl", "-e", "exec { $ARGV[0] } 'leaderless', @ARGV[1..$#ARGV]", ...words]);
    const job = await first.onlyJob();
    go(box, "leave");
    await until("the first thread has ended", () => / Z /.test(readProc(child.pid, "stat")));
    await box.json(["ps"]);
    first.daemon.kill("SIGKILL");
    await first.daemon.exited;
    const second = watch(box, "leaderless");
    await until("the second daemon observes the job", () => second.log().includes(`Taking over job ${job}`));
    expect(await box.json(["ps"])).toMatchObject([{ job_id: job, observer_pid: second.daemon.pid }]);
    go(box);
    expect(await child.exited).toBe(7);
    const [result] = await second.results(1);
    expect(result).toMatchObject({ job_id: job, pid: child.pid, exit_code: 7 });
    expectUnharmed(second);
  },
);

testIf(lacksPerl)("a process name that looks like fields of /proc/PID/stat is parsed correctly", async () => {
  const box = sandbox();
  const name = "a) S 1 (b";
  const watcher = watch(box, name);
  const child = box.spawn(["perl", "-e", `$0 = '${name}'; ${awaitGo(box.path("go"))} exit 4`]);
  expect(await watcher.onlyJob()).toBe(`auto-a__S_1__b-${child.pid}`);
  go(box);
  expect(await watcher.results(1)).toMatchObject([{ pid: child.pid, exit_code: 4 }]);
  expectUnharmed(watcher);
});

testIf(lacksPerl)("a process without arguments is matched by its executable", async () => {
  const box = sandbox();
  const target = copyOf(box, "perl");
  const watcher = watch(box);
  const script = `$0 = ''; ${awaitGo(box.path("go"))} exit 5`;
  const child = box.spawn(["perl", "-e", `exec { '${target}' } ''`], { stdin: new Blob([script]) });
  expect(await watcher.onlyJob()).toBe(`auto-${TARGET}-${child.pid}`);
  expect(await box.json(["ps"])).toMatchObject([{ pid: child.pid }]);
  go(box);
  expect(await watcher.results(1)).toMatchObject([{ pid: child.pid, exit_code: 5 }]);
  expectUnharmed(watcher);
});

testIf(lacksPerl)("a process with 100 KB of arguments, newlines and invalid UTF-8 is governed", async () => {
  const box = sandbox();
  const target = copyOf(box, "perl");
  const watcher = watch(box);
  const script = `${awaitGo(box.path("go"))} exit 6`;
  const odd = [`"two\\nlines"`, `"\\xff\\xfe\\xc3"`, `"\\e[31m"`, `''`, `'x' x 100000`];
  const child = box.spawn(
    ["perl", "-e", `exec { '${target}' } '${target}', '-e', $ENV{SCRIPT}, ${odd.join(", ")}`],
    {
      env: { SCRIPT: script },
    },
  );
  const job = await watcher.onlyJob();
  const [open] = await box.json(["ps"]);
  expect(open.command).toHaveLength(3 + odd.length);
  expect(open.command.slice(3, -1)).toEqual(["two\nlines", "\ufffd\ufffd\ufffd", "\u001b[31m", ""]);
  expect(open.command.at(-1)).toMatch(/^x{7000,8192}$/);
  expect(open.command_cut).toBeTrue();
  for (const args of [["ps"], ["inspect", job]]) {
    const { code, stdout } = await box.run(args);
    expect(code).toBe(0);
    expect(stdout).not.toContain("\u001b[31m");
  }
  go(box);
  expect(await watcher.results(1)).toMatchObject([{ pid: child.pid, exit_code: 6 }]);
  expectUnharmed(watcher);
});

testIf(lacksRoot() ?? lacksCommand("setpriv"))(
  "a setuid program of an unprivileged user is governed",
  async () => {
    const box = sandbox();
    chmodSync(box.directory, 0o755);
    const target = copyOf(box, "sleep");
    chmodSync(target, 0o4755);
    const watcher = watch(box);
    const child = box.spawn([
      "setpriv",
      "--reuid",
      "65534",
      "--regid",
      "65534",
      "--clear-groups",
      target,
      "2",
    ]);
    const job = await watcher.onlyJob();
    expect(job).toBe(`auto-${TARGET}-${child.pid}`);
    expect(readProc(child.pid, "status")).toMatch(/^Uid:\t65534\t0\t/m);
    expect(await watcher.results(1)).toMatchObject([{ job_id: job, pid: child.pid, exit_code: 0 }]);
    expectUnharmed(watcher);
  },
);

for (const kind of ["pid", "mount", "user"]) {
  const flags = {
    pid: ["--pid", "--fork", "--mount-proc"],
    mount: ["--mount"],
    user: ["--user", "--map-root-user"],
  }[kind];
  const cannot = Bun.spawnSync(["unshare", ...(flags ?? []), "true"]).exitCode !== 0;
  const reason =
    lacksPerl ??
    lacksCommand("unshare") ??
    (cannot ? `needs permission to make a ${kind} namespace` : undefined);
  testIf(reason)(`a process in its own ${kind} namespace is governed by its pid on the host`, async () => {
    const box = sandbox();
    const target = copyOf(box, "perl");
    const watcher = watch(box);
    const child = box.spawn(["unshare", ...(flags ?? []), target, "-e", `${awaitGo(box.path("go"))} exit 8`]);
    const job = await watcher.onlyJob();
    const [open] = await box.json(["ps"]);
    box.adopt(open.pid);
    expect(open.job_id).toBe(job);
    // unshare starts the first process of a new pid namespace as its child.
    expect(open.pid === child.pid).toBe(kind !== "pid");
    expect(isRunning(open.pid)).toBe(true);
    go(box);
    expect(await child.exited).toBe(8);
    expect(await watcher.results(1)).toMatchObject([{ job_id: job, pid: open.pid, exit_code: 8 }]);
    expectUnharmed(watcher);
  });
}
