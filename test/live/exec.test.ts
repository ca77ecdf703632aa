import { expect, test } from "bun:test";
import { existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { handlesSignals } from "../support/processes.ts";
import { FFRTMP, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";
import { startDaemon } from "../support/watchDaemon.ts";

// `ffrtmp exec`: the process that the caller started becomes the workload.

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

const LIMITS = ["--cpu-quota", "50", "--memory-max", "64M", "--pids-max", "20"];

limitsTest(
  "the command has the PID of ffrtmp, its limits, its exit code, and nothing else of it",
  async () => {
    const file = sandbox().path("facts");
    // By the shell itself: it blocks signals while it starts a program.
    const print = (name: string) => `while read -r line; do echo "$line"; done </proc/$$/${name}`;
    const script = `{ echo $$; ${print("cgroup")}; ${print("status")}; } >${file}; exit 7`;
    const child = sandbox().start(["exec", "--job-id", "own", ...LIMITS, "--", "sh", "-c", script]);
    expect(await child.exited).toBe(7);
    const facts = readFileSync(file, "utf8");
    expect(facts).toStartWith(`${child.pid}\n`);
    expect(facts).toMatch(/ffrtmp-[0-9a-f]{6}-own/);
    for (const line of [
      "Threads:\t1",
      "SigBlk:\t0000000000000000",
      "SigIgn:\t0000000000000000",
      "Seccomp:\t0",
    ])
      expect(facts).toContain(line);
    const [job] = await sandbox().json(["history"]);
    expect(job).toMatchObject({ job_id: "own", pid: child.pid, command: ["sh", "-c", script], mode: "run" });
    expect(job.limits.map(({ limit, outcome }: Record<string, string>) => [limit, outcome])).toEqual([
      ["cpu.max", "applied"],
      ["memory.max", "applied"],
      ["pids.max", "applied"],
    ]);
    // No ffrtmp saw the end, so nothing about it is invented.
    expect(job).toMatchObject({ ending: "unobserved", exit_code: null, signal: null, end_time: null });
    expect(sandbox().cgroups()).toEqual([]);
  },
);

test("a signal to the process is one to the command, and no ffrtmp process remains", async () => {
  const child = sandbox().start(["exec", "--job-id", "stopped", "--", "sleep", "1000"]);
  await sandbox().pidOf("stopped");
  await until("it is sleep", () => readFileSync(`/proc/${child.pid}/comm`, "utf8") === "sleep\n");
  const [row] = await sandbox().json(["ps"]);
  expect(row).toMatchObject({ job_id: "stopped", pid: child.pid, observer_pid: null });
  child.kill("SIGTERM");
  await child.exited;
  expect(child.signalCode).toBe("SIGTERM");
});

test("a daemon observes the command, and records its exit code", async () => {
  await startDaemon(sandbox());
  const child = sandbox().start(["exec", "--job-id", "seen", "--", "sh", "-c", "exit 3"]);
  expect(await child.exited).toBe(3);
  expect(await sandbox().resultOf("seen")).toMatchObject({ ending: "exited", exit_code: 3 });
});

test("ffmpeg that is stopped by its scheduler ends its output, as without ffrtmp", async () => {
  const output = sandbox().path("out.mkv");
  const source = ["-f", "lavfi", "-i", "testsrc=size=32x32:rate=5", "-y", output];
  const words = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", ...source];
  const child = sandbox().start(["exec", "--job-id", "transcode", "--", ...words]);
  await sandbox().pidOf("transcode");
  await until("ffmpeg handles SIGTERM", () => handlesSignals(child.pid, "SIGTERM"));
  await until("it has written", () => existsSync(output));
  child.kill("SIGTERM");
  expect(await child.exited).toBe(255);
  const probe = sandbox().spawn(["ffprobe", "-v", "error", "-show_entries", "format=format_name", output]);
  expect(await probe.exited).toBe(0);
});

test("descriptors, words and variables of the caller reach the command byte for byte", async () => {
  const file = sandbox().path("passed");
  writeFileSync(file, "from descriptor 3\n");
  const script = `cat <&3; od -An -tx1 <<X
$1
X
env | grep ^ODD=; exec 3<&-; ls -l /proc/$$/fd`;
  const child = Bun.spawn({
    // The shell makes a byte that is not UTF-8.
    cmd: [
      "sh",
      "-c",
      `exec 3<${file}; exec "$@" "$(printf '\\377')"`,
      "sh",
      FFRTMP,
      "exec",
      "--",
      "sh",
      "-c",
      script,
      "x",
    ],
    env: { ...sandbox().environment, ODD: "a=b\n c" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: openSync(sandbox().path("err"), "w"),
  });
  const text = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  expect(text).toStartWith("from descriptor 3\n ff 0a\nODD=a=b\n");
  const open = [...text.matchAll(/ (\d+) -> /g)].map(([, fd]) => Number(fd));
  expect(open.filter((fd) => fd > 2 && fd < 10)).toEqual([]);
});

test.each([
  [["/nowhere/ffmpeg"], 127, "/nowhere/ffmpeg does not exist"],
  [["/etc/passwd"], 126, "is not executable"],
])("%j cannot be run, and leaves nothing", async (command, code, message) => {
  const ended = await sandbox().run(["exec", "--cpu-quota", "50", "--", ...command]);
  expect(ended.code).toBe(code);
  expect(ended.stderr).toContain(message);
  expect(sandbox().cgroups()).toEqual([]);
  expect(await sandbox().json(["ps", "--all"])).toEqual([]);
});

limitsTest("a command that the kernel does not execute is no job, and everything is restored", async () => {
  const script = sandbox().path("script");
  writeFileSync(script, "echo no first line\n", { mode: 0o755 });
  const ended = await sandbox().run(["exec", "--cpu-quota", "50", "--", script]);
  expect(ended.code).toBe(126);
  expect(ended.stderr).toContain("a script needs a first line");
  expect(sandbox().cgroups()).toEqual([]);
  expect(await sandbox().json(["ps"])).toEqual([]);
  const [{ ending, exit_unknown_because: reason }] = await sandbox().json(["history"]);
  expect([ending, reason]).toEqual(["never_started", expect.stringContaining("a script needs a first line")]);
});

limitsTest("a governed process starts no job inside of its own", async () => {
  const { code, stderr } = await sandbox().run([
    ...["run", "--cpu-quota", "50", "--", FFRTMP, "exec", "--cpu-quota", "90", "--", "true"],
  ]);
  expect(code).toBe(125);
  expect(stderr).toContain("this process is governed already, inside ffrtmp-");
});

limitsTest("SIGKILL at any instant leaves no process, no cgroup and no open job", async () => {
  for (let n = 0; n < 10; n++) {
    const child = sandbox().start(["exec", "--job-id", `killed-${n}`, ...LIMITS, "--", "sleep", "1000"]);
    // The instants differ; none is required to be inside of a certain step.
    await Bun.sleep(12 * n);
    child.kill("SIGKILL");
    await child.exited;
    await sandbox().run(["watch", "--once", "--target", `none-${sandbox().tag}`]);
    expect({ n, cgroups: sandbox().cgroups() }).toEqual({ n, cgroups: [] });
    expect(await sandbox().json(["ps"])).toEqual([]);
  }
});
