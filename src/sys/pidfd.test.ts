import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { closeFd } from "./descriptor.ts";
import { openPidfd, pidfdHasEnded, readPidfdExit } from "./pidfd.ts";
import { decodeWaitStatus } from "./waitStatus.ts";

const opened: number[] = [];

function pidfdOf(pid: number): number {
  const pidfd = openPidfd(pid);
  expect(pidfd).toBeGreaterThanOrEqual(0);
  opened.push(pidfd);
  return pidfd;
}

afterEach(() => {
  for (const pidfd of opened.splice(0)) closeFd(pidfd);
});

/** False on kernels before 6.15, where the exit record does not exist. */
const hasExitRecord = await (async () => {
  const child = Bun.spawn(["sleep", "0.01"]);
  const pidfd = openPidfd(child.pid);
  await child.exited;
  const exit = readPidfdExit(pidfd);
  closeFd(pidfd);
  return typeof exit === "object";
})();
if (!hasExitRecord)
  process.stderr.write("not tried: exit records of pidfds: this kernel keeps none (from Linux 6.15)\n");

test("a living process has not ended", () => {
  const sleeper = Bun.spawn(["sleep", "60"]);
  try {
    const pidfd = pidfdOf(sleeper.pid);
    expect(pidfdHasEnded(pidfd)).toBe(false);
    expect(["running", "unsupported"]).toContain(readPidfdExit(pidfd) as string);
  } finally {
    sleeper.kill("SIGKILL");
  }
});

test.skipIf(!hasExitRecord)("an exit code and a signal are read after the parent has reaped", async () => {
  for (const [script, end] of [
    ["read x; exit 42", { code: 42, signal: null }],
    ["read x; kill -SEGV $$", { code: null, signal: 11 }],
    ["read x; exit 0", { code: 0, signal: null }],
  ] as const) {
    const child = Bun.spawn(["sh", "-c", script], { stdin: "pipe" });
    const pidfd = pidfdOf(child.pid);
    child.stdin.end();
    await child.exited;
    expect(pidfdHasEnded(pidfd)).toBe(true);
    const exit = readPidfdExit(pidfd);
    if (typeof exit === "string") throw new Error(`no exit record: ${exit}`);
    expect(decodeWaitStatus(exit.status)).toEqual(end);
  }
});

test("a zombie has ended, and its code is not there before it is reaped", async () => {
  // Descriptor 3 before the fork: what a shell starts in the background has /dev/null as its input.
  const script = "exec 3<&0; sh -c 'read line <&3; exit 7' & echo $!; exec sleep 60";
  const parent = Bun.spawn(["sh", "-c", script], { stdin: "pipe", stdout: "pipe" });
  try {
    const { value } = await parent.stdout.getReader().read();
    const pidfd = pidfdOf(Number(new TextDecoder().decode(value)));
    // A shell might still reap its child, a sleep does not
    while (readFileSync(`/proc/${parent.pid}/comm`, "utf8") !== "sleep\n") await Bun.sleep(5);
    parent.stdin.end();
    while (!pidfdHasEnded(pidfd)) await Bun.sleep(5);
    expect(["running", "unsupported"]).toContain(readPidfdExit(pidfd) as string);
  } finally {
    parent.kill("SIGKILL");
    await parent.exited;
  }
});

test("openPidfd() of a process that is gone answers −ESRCH", async () => {
  const gone = Bun.spawn(["true"]);
  await gone.exited;
  expect(openPidfd(gone.pid)).toBe(-3);
});
