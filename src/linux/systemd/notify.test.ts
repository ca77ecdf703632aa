import { expect, test } from "bun:test";
import { bindUnixDatagram, receiveUnixDatagram } from "../../../test/support/unixReceiver.ts";
import { closeFd } from "../../sys/descriptor.ts";
import {
  dropFd,
  formatNotifyState,
  isFdName,
  NotifySocket,
  READY,
  reloading,
  STOPPING,
  storeFd,
  WATCHDOG,
} from "./notify.ts";

test("states are written as sd_notify(3) has them", () => {
  expect(formatNotifyState(READY)).toBe("READY=1");
  expect(formatNotifyState(STOPPING)).toBe("STOPPING=1");
  expect(formatNotifyState(WATCHDOG)).toBe("WATCHDOG=1");
  expect(formatNotifyState(storeFd("a@1"))).toBe("FDSTORE=1\nFDPOLL=0\nFDNAME=a@1");
  expect(formatNotifyState(dropFd("a@1"))).toBe("FDSTOREREMOVE=1\nFDNAME=a@1");
  expect(formatNotifyState(reloading())).toMatch(/^RELOADING=1\nMONOTONIC_USEC=[1-9]\d*$/);
});

test("no value can smuggle a second assignment in", () => {
  expect(formatNotifyState({ STATUS: "fine\nSTOPPING=1\r\nREADY=1" })).toBe("STATUS=fine STOPPING=1 READY=1");
});

test("a reload carries the clock that the manager compares it with", () => {
  const { MONOTONIC_USEC } = reloading();
  // performance.now() begins with the process; the machine's clock began before.
  expect(Number(MONOTONIC_USEC)).toBeGreaterThan(performance.now() * 1000);
  expect(Number(reloading()["MONOTONIC_USEC"])).toBeGreaterThanOrEqual(Number(MONOTONIC_USEC));
});

test("names of descriptors are ASCII without a colon, 255 at most", () => {
  const longest = `${"j".repeat(128)}@${Bun.randomUUIDv7()}`;
  for (const name of ["a", longest, "x".repeat(255)]) expect(isFdName(name)).toBe(true);
  for (const name of ["", "a:b", "a b", "ä", "a\n", "x".repeat(256)]) expect(isFdName(name)).toBe(false);
});

test("a message arrives; what cannot be sent is a value", () => {
  const name = `@ffrtmp-notify-${process.pid}`;
  const receiver = bindUnixDatagram(name);
  const socket = NotifySocket.open(name) as NotifySocket;
  expect(socket.send({ STATUS: "Governing 3 jobs" })).toBe("sent");
  expect(receiveUnixDatagram(receiver)?.text).toBe("STATUS=Governing 3 jobs");
  closeFd(receiver);
  expect(socket.send(READY)).toEqual({ reason: "ECONNREFUSED" });
  socket.close();
  expect(NotifySocket.open("vsock:2:1234")).toMatchObject({
    reason: expect.stringContaining("vsock:2:1234"),
  });
});
