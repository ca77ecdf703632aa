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

test("formatNotifyState() writes the states of sd_notify(3)", () => {
  expect(formatNotifyState(READY)).toBe("READY=1");
  expect(formatNotifyState(STOPPING)).toBe("STOPPING=1");
  expect(formatNotifyState(WATCHDOG)).toBe("WATCHDOG=1");
  expect(formatNotifyState(storeFd("a@1"))).toBe("FDSTORE=1\nFDPOLL=0\nFDNAME=a@1");
  expect(formatNotifyState(dropFd("a@1"))).toBe("FDSTOREREMOVE=1\nFDNAME=a@1");
  expect(formatNotifyState(reloading())).toMatch(/^RELOADING=1\nMONOTONIC_USEC=[1-9]\d*$/);
});

test("a value cannot add a second assignment", () => {
  expect(formatNotifyState({ STATUS: "fine\nSTOPPING=1\r\nREADY=1" })).toBe("STATUS=fine STOPPING=1 READY=1");
});

test("reloading() carries the monotonic clock", () => {
  const { MONOTONIC_USEC } = reloading();
  // performance.now() starts with the process; the monotonic clock started before.
  expect(Number(MONOTONIC_USEC)).toBeGreaterThan(performance.now() * 1000);
  expect(Number(reloading()["MONOTONIC_USEC"])).toBeGreaterThanOrEqual(Number(MONOTONIC_USEC));
});

test("isFdName() accepts visible ASCII without a colon, at most 255 characters", () => {
  const longest = `${"j".repeat(128)}@${Bun.randomUUIDv7()}`;
  for (const name of ["a", longest, "x".repeat(255)]) expect(isFdName(name)).toBe(true);
  for (const name of ["", "a:b", "a b", "ä", "a\n", "x".repeat(256)]) expect(isFdName(name)).toBe(false);
});

test("send() delivers a message, or returns why not", () => {
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
