import { expect, test } from "bun:test";
import { openSync } from "node:fs";
import { procTree, statLine } from "../../../test/support/procTree.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { openPidfd } from "../../sys/pidfd.ts";
import { realHost } from "../host.ts";
import { isAlive, readBootId, readIdentity, readPidfdInfo } from "./identity.ts";

const BOOT = "sys/kernel/random/boot_id";

test("a process is alive under its identity until it ends", async () => {
  const host = realHost();
  const sleeper = Bun.spawn(["sleep", "600"], { stdio: ["ignore", "ignore", "ignore"] });
  try {
    const identity = readIdentity(host, sleeper.pid);
    if (identity === "gone") throw new Error("the process is gone");
    expect(identity).toMatchObject({ pid: sleeper.pid, bootId: readBootId(host) });
    expect(isAlive(host, identity)).toBe(true);
    sleeper.kill("SIGKILL");
    await sleeper.exited;
    expect(isAlive(host, identity)).toBe(false);
    expect(readIdentity(host, sleeper.pid)).toBe("gone");
  } finally {
    sleeper.kill("SIGKILL");
  }
});

test("readBootId() returns the uuid of this boot without a line break", () => {
  expect(readBootId(realHost())).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
});

test("a reused pid is another process", () => {
  using before = procTree({ "4026/stat": statLine({ startTicks: 100 }), [BOOT]: "a\n" });
  using after = procTree({ "4026/stat": statLine({ startTicks: 101 }), [BOOT]: "a\n" });
  const identity = readIdentity(before.host, 4026);
  expect(identity).toEqual({ bootId: "a", pid: 4026, startTicks: 100 });
  expect(isAlive(before.host, identity as never)).toBe(true);
  expect(isAlive(after.host, identity as never)).toBe(false);
});

test("the same pid with the same start time after a reboot is another process", () => {
  using before = procTree({ "4026/stat": statLine({ startTicks: 100 }), [BOOT]: "a\n" });
  using after = procTree({ "4026/stat": statLine({ startTicks: 100 }), [BOOT]: "b\n" });
  expect(isAlive(after.host, readIdentity(before.host, 4026) as never)).toBe(false);
});

test("a zombie is not alive and still has its identity", () => {
  using proc = procTree({ "4026/stat": statLine({ state: "Z", startTicks: 100 }), [BOOT]: "a\n" });
  const identity = readIdentity(proc.host, 4026);
  expect(identity).toEqual({ bootId: "a", pid: 4026, startTicks: 100 });
  expect(isAlive(proc.host, identity as never)).toBe(false);
});

test("a process is identified by pid and start time where procfs hides the boot id", () => {
  using proc = procTree({ "4026/stat": statLine({ startTicks: 100 }) });
  const identity = { bootId: "", pid: 4026, startTicks: 100 };
  expect(readIdentity(proc.host, 4026)).toEqual(identity);
  expect(isAlive(proc.host, identity)).toBe(true);
});

test("readPidfdInfo() returns the pid, gone or none", () => {
  using proc = procTree({
    "self/fdinfo/3": "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1\nPid:\t4026\nNSpid:\t4026\n",
    "self/fdinfo/4": "pos:\t0\nPid:\t-1\nNSpid:\t-1\n",
    "self/fdinfo/5": "pos:\t0\nflags:\t02\n",
  });
  expect([3, 4, 5, 6].map((fd) => readPidfdInfo(proc.host, fd))).toEqual([4026, "gone", "none", "none"]);
});

test("readPidfdInfo() reads the entries of the kernel", async () => {
  const host = realHost();
  const child = Bun.spawn(["cat"], { stdin: "pipe" });
  const pidfd = openPidfd(child.pid);
  expect(readPidfdInfo(host, pidfd)).toBe(child.pid);
  child.stdin.end();
  await child.exited;
  expect(readPidfdInfo(host, pidfd)).toBe("gone");
  closeFd(pidfd);
  const file = openSync("/dev/null", "r");
  expect(readPidfdInfo(host, file)).toBe("none");
  closeFd(file);
  expect(readPidfdInfo(host, 999_999)).toBe("none");
});
