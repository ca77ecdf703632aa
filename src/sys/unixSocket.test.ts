import { afterEach, expect, test } from "bun:test";
import { fstatSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bindUnixDatagram, receiveUnixDatagram } from "../../test/support/unixReceiver.ts";
import { closeFd } from "./descriptor.ts";
import { errnoName } from "./errno.ts";
import { openPidfd } from "./pidfd.ts";
import { encodeUnixAddress, openUnixDatagram, sendUnixDatagram } from "./unixSocket.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-unix-"));
const opened: number[] = [];
const opening = (fd: number): number => {
  expect(fd).toBeGreaterThan(2);
  opened.push(fd);
  return fd;
};

afterEach(() => {
  for (const fd of opened.splice(0)) closeFd(fd);
  rmSync(directory, { recursive: true, force: true });
});

function send(name: string, text: string, descriptor?: number): number {
  const socket = opening(openUnixDatagram());
  return sendUnixDatagram(
    socket,
    encodeUnixAddress(name) as Uint8Array,
    new TextEncoder().encode(text),
    descriptor,
  );
}

for (const [kind, name] of [
  ["a path", join(mkdtempSync(join(tmpdir(), "ffrtmp-unix-")), "socket")],
  ["an abstract name", `@ffrtmp-test-${process.pid}`],
] as const) {
  test(`a datagram and a copy of a descriptor arrive at ${kind}`, () => {
    const receiver = opening(bindUnixDatagram(name));
    const file = opening(openPidfd(process.pid));
    expect(send(name, "FDSTORE=1", file)).toBe(9);
    const received = receiveUnixDatagram(receiver);
    expect(received?.text).toBe("FDSTORE=1");
    expect(received?.descriptors).toHaveLength(1);
    const [copy = -1] = received?.descriptors ?? [];
    opening(copy);
    expect(copy).not.toBe(file);
    expect(fstatSync(copy).ino).toBe(fstatSync(file).ino);
    expect(readFileSync(`/proc/self/fdinfo/${copy}`, "utf8")).toContain(`Pid:\t${process.pid}\n`);
    expect(send(name, "plain")).toBe(5);
    expect(receiveUnixDatagram(receiver)).toEqual({ text: "plain", descriptors: [] });
    expect(receiveUnixDatagram(receiver)).toBeUndefined();
    const stat = statSync(name, { throwIfNoEntry: false });
    expect(stat?.isSocket()).toBe(kind === "a path" ? true : undefined);
    if (stat !== undefined) rmSync(join(name, ".."), { recursive: true });
  });
}

test("a receiver that does not read makes the sender busy, and never wait", () => {
  const name = `@ffrtmp-full-${process.pid}`;
  opening(bindUnixDatagram(name));
  const socket = opening(openUnixDatagram());
  const message = new Uint8Array(1000);
  let result = 0;
  for (let tries = 0; tries < 100_000 && result >= 0; tries++) {
    result = sendUnixDatagram(socket, encodeUnixAddress(name) as Uint8Array, message);
  }
  expect(errnoName(result)).toBe("EAGAIN");
});

test("nobody at the address is said", () => {
  expect(errnoName(send(`@ffrtmp-nobody-${process.pid}`, "x"))).toBe("ECONNREFUSED");
  expect(errnoName(send(join(directory, "nowhere"), "x"))).toBe("ENOENT");
});

test("what is neither path nor abstract name, or too long, is no address", () => {
  for (const name of [
    "",
    "@",
    "/",
    "run/notify",
    "vsock:2:1",
    `/${"x".repeat(107)}`,
    `@${"x".repeat(108)}`,
  ]) {
    expect({ name, address: encodeUnixAddress(name) }).toEqual({ name, address: undefined });
  }
  expect(encodeUnixAddress(`/${"x".repeat(106)}`)).toHaveLength(2 + 108);
  expect(encodeUnixAddress(`@${"x".repeat(107)}`)).toHaveLength(2 + 108);
});
