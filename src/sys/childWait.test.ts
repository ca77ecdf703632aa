import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { hasEnded } from "./childWait.ts";

const PROGRAM = resolve(import.meta.dir, "../../test/support/programs/childWaiter.ts");

/** Runs a process that starts a shell and waits for it. Returns what it saw. */
function waitFor(script: string, signals: string[] = []): unknown {
  const { stdout, stderr } = spawnSync(process.execPath, [PROGRAM, script, ...signals], { encoding: "utf8" });
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

test("waitForChild() returns the wait status and the usage", () => {
  expect(waitFor("exit 7")).toMatchObject({ end: { status: 7 << 8 }, continued: 0 });
  const spin = "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; kill -SEGV $$";
  const { end } = waitFor(spin) as { end: Record<string, number> };
  expect((end["status"] ?? 0) & 0x7f).toBe(11);
  expect(end["cpuUserUsec"]).toBeGreaterThan(1000);
  expect(end["cpuSystemUsec"]).toBeGreaterThanOrEqual(0);
  expect(end["memoryPeakBytes"]).toBeGreaterThan(100_000);
});

test.each(["SIGINT", "SIGTERM", "SIGHUP"])(
  "waitForChild() returns %s, also one that came before the wait",
  (signal) => {
    expect(waitFor("read -r forever", [signal])).toMatchObject({ end: signal });
  },
);

test("waitForChild() reports a SIGCONT, and prefers the end of the child to a signal", () => {
  expect(waitFor("exit 0", ["SIGCONT", "ended", "SIGTERM"])).toMatchObject({
    end: { status: 0 },
    continued: 1,
  });
});

test("waitForChild() returns an errno for a process that is no child", () => {
  expect(waitFor("stranger")).toMatchObject({ end: -10 });
});

/**
 * Waits briefly in a process of its own for a shell that it starts, after it has executed `before`. Returns what `waitBriefly`
 * returned; `null`: nothing.
 */
function waitBrieflyFor(script: string, timeoutMs: number, before = ""): unknown {
  const moduleOf = (path: string): string => JSON.stringify(resolve(import.meta.dir, path));
  const program = `
    const { waitBriefly } = await import(${moduleOf("childWait.ts")});
    const { listOpenFiles } = await import(${moduleOf("../jobs/start/inheritedFiles.ts")});
    const { syscall } = await import(${moduleOf("libc.ts")});
    const { wakeups } = listOpenFiles({ procRoot: "/proc" });
    // The runtime, which was woken by the imports, does not read them itself. In a launch it is not woken.
    for (const fd of wakeups) syscall("read", fd, new Uint8Array(8), 8);
    process.on("SIGTERM", () => {});
    const child = Bun.spawn(["sh", "-c", process.argv[1]], { stdio: ["ignore", "inherit", "inherit"] });
    ${before};
    console.log(JSON.stringify(waitBriefly(child.pid, ${timeoutMs}, wakeups) ?? null));
    process.exit();`;
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", program, script], { encoding: "utf8" });
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

test("waitBriefly() returns the end of a child, and nothing for one that still runs", () => {
  expect(waitBrieflyFor("exit 7", 60_000)).toMatchObject({
    status: 7 << 8,
    memoryPeakBytes: expect.any(Number),
  });
  expect(waitBrieflyFor("exec sleep 1", 0)).toBeNull();
});

test("a signal ends waitBriefly(), so that its handler gets its turn", () => {
  const script = 'until grep -q poll /proc/$PPID/wchan; do :; done; kill -TERM "$PPID"; exec sleep 1';
  expect(waitBrieflyFor(script, 60_000)).toBeNull();
});

test.each([
  ["before the wait", 'process.kill(process.pid, "SIGTERM")'],
  [
    "in another thread",
    `const { listNumbers } = await import(${JSON.stringify(resolve(import.meta.dir, "files.ts"))});
     const thread = listNumbers("/proc/self/task").find((tid) => tid !== process.pid);
     if (thread === undefined || syscall("tgkill", process.pid, thread, 15) !== 0) throw new Error("no thread")`,
  ],
])("so does a signal that comes %s", (_, before) => {
  // Without it, the wait returns the end of this child.
  expect(waitBrieflyFor("exec sleep 2", 60_000, before)).toBeNull();
});

test("hasEnded() distinguishes a child that runs from one that has ended, collected or not", async () => {
  const child = Bun.spawn(["sleep", "600"]);
  expect(hasEnded(child.pid)).toBe(false);
  child.kill("SIGKILL");
  await child.exited;
  expect(hasEnded(child.pid)).toBe(true);
  // The runtime collects no child while this thread is busy.
  const zombie = Bun.spawn(["true"]);
  while (!hasEnded(zombie.pid)) Bun.sleepSync(1);
  expect(await zombie.exited).toBe(0);
});
