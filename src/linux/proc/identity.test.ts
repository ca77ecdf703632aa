import { expect, test } from "bun:test";
import { procTree, statLine } from "../../../test/support/procTree.ts";
import { realHost } from "../host.ts";
import { isAlive, readBootId, readIdentity } from "./identity.ts";

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
