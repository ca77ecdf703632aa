import { expect, test } from "bun:test";
import { openSync, readFileSync } from "node:fs";
import { closeFd } from "../../sys/descriptor.ts";
import { parseServiceVariables, takeServiceVariables } from "./serviceVariables.ts";

test("a service is told where to report, how often, and what was held for it", () => {
  const environment = {
    NOTIFY_SOCKET: "/run/systemd/notify",
    WATCHDOG_USEC: "60000000",
    WATCHDOG_PID: "42",
    LISTEN_FDS: "3",
    LISTEN_PID: "42",
    LISTEN_FDNAMES: "a@1:b@2",
  };
  expect(parseServiceVariables(environment, 42)).toEqual({
    notifySocket: "/run/systemd/notify",
    watchdogUsec: 60_000_000,
    storedFds: [
      { name: "a@1", fd: 3 },
      { name: "b@2", fd: 4 },
      { name: "unknown", fd: 5 },
    ],
  });
});

test("what is meant for another process is not taken for ours", () => {
  const environment = { WATCHDOG_USEC: "1000", WATCHDOG_PID: "41", LISTEN_FDS: "1", LISTEN_PID: "41" };
  expect(parseServiceVariables(environment, 42)).toEqual({
    notifySocket: undefined,
    watchdogUsec: undefined,
    storedFds: [],
  });
  expect(parseServiceVariables({ LISTEN_FDS: "1" }, 42).storedFds).toEqual([]);
  expect(parseServiceVariables({ WATCHDOG_USEC: "1000" }, 42).watchdogUsec).toBe(1000);
});

test("nonsense counts for nothing", () => {
  for (const text of ["", "0", "-1", "1e3", "3 ", "0x3", "99999999999999999999"]) {
    const environment = { WATCHDOG_USEC: text, LISTEN_FDS: text, LISTEN_PID: "42", NOTIFY_SOCKET: "" };
    expect({ text, ...parseServiceVariables(environment, 42) }).toEqual({
      text,
      notifySocket: undefined,
      watchdogUsec: undefined,
      storedFds: [],
    });
  }
});

test("taking the variables leaves none of them, and the rest alone", () => {
  const environment: NodeJS.ProcessEnv = {
    PATH: "/bin",
    NOTIFY_SOCKET: "@x",
    WATCHDOG_USEC: "1000",
    WATCHDOG_PID: "1",
    LISTEN_FDS: "1",
    LISTEN_PID: "1",
    LISTEN_FDNAMES: "a",
    FDSTORE: "4096",
  };
  expect(takeServiceVariables(environment, 42)).toMatchObject({ notifySocket: "@x", storedFds: [] });
  expect(environment).toEqual({ PATH: "/bin" });
});

test("a descriptor that was announced and is not open is left out, and the others are closed on exec", () => {
  const fds: number[] = [];
  while (fds.length < 40) fds.push(openSync("/dev/null", "r"));
  try {
    const { storedFds } = takeServiceVariables({ LISTEN_FDS: "100000", LISTEN_PID: "42" }, 42);
    const taken = new Set(storedFds.map(({ fd }) => fd));
    expect(fds.every((fd) => taken.has(fd))).toBe(true);
    expect(taken.size).toBeLessThan(1000);
    expect(readFileSync(`/proc/self/fdinfo/${fds[0]}`, "utf8")).toMatch(/^flags:\s+02\d{6}$/m);
  } finally {
    for (const fd of fds) closeFd(fd);
  }
});
