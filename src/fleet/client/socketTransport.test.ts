import { afterEach, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { SocketTransport } from "./socketTransport.ts";

const INFO = 'INFO {"server_id":"S","version":"2.11.0","max_payload":262144}\r\n';
const PLAIN = { tls: null } as const;
const MIB = 1024 ** 2;

const servers: Server[] = [];
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const each of servers.splice(0)) each.close();
});

/** Listens as a server that begins with `greeting`, and returns its address. */
async function listen(greeting: string, onSocket: (socket: Socket) => void = () => {}) {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.write(greeting);
    onSocket(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { hostname: "127.0.0.1", port, tlsName: "" } as Parameters<SocketTransport["connect"]>[0];
}

/** Waits for a condition of this process alone. */
async function until(isTrue: () => boolean): Promise<void> {
  for (let waits = 0; !isTrue() && waits < 1000; waits++) await Bun.sleep(5);
  expect(isTrue()).toBe(true);
}

function digest(parts: readonly Uint8Array[]): string {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const part of parts) hasher.update(part);
  return hasher.digest("hex");
}

test("what a slow server has no room for arrives later, whole and in its order", async () => {
  const received: Buffer[] = [];
  let peer: Socket | undefined;
  const address = await listen(INFO, (socket) => {
    peer = socket;
    socket.pause();
    socket.on("data", (bytes: Buffer) => received.push(bytes));
    socket.pause();
  });
  const transport = new SocketTransport();
  await transport.connect(address, PLAIN);
  const frames = Array.from({ length: 30 }, (_, index) => new Uint8Array(MIB + index).fill(index));
  for (const frame of frames) transport.send(frame);
  await Bun.sleep(50);
  for (const frame of frames) transport.send(frame);
  peer?.resume();
  const bytes = 2 * frames.reduce((sum, frame) => sum + frame.length, 0);
  await until(() => received.reduce((sum, part) => sum + part.length, 0) === bytes);
  expect(digest(received)).toBe(digest([...frames, ...frames]));
  await transport.close();
});

test("a connection whose server reads nothing any more gives its socket back at once", async () => {
  const address = await listen(INFO, (socket) => socket.pause());
  const transport = new SocketTransport();
  await transport.connect(address, PLAIN);
  for (let index = 0; index < 20; index++) transport.send(new Uint8Array(MIB));
  const open = readdirSync("/proc/self/fd").length;
  await transport.close();
  await transport.closed();
  await until(() => readdirSync("/proc/self/fd").length < open);
});

test("a connection that is given up while it is made is not made", async () => {
  const address = await listen("");
  const transport = new SocketTransport();
  const connecting = transport.connect(address, PLAIN).catch((error: Error) => error);
  await until(() => sockets.length === 1);
  let isClosed = false;
  sockets[0]?.on("close", () => {
    isClosed = true;
  });
  sockets[0]?.resume();
  await transport.close(new Error("too late"));
  expect(await connecting).toBeInstanceOf(Error);
  await until(() => isClosed);
});

test("bytes that come before encryption do not count as encrypted ones", async () => {
  const required = INFO.replace("{", '{"tls_required":true,');
  const address = await listen(`${required}MSG _INBOX.edge-1.1 1 0\r\n\r\n`);
  const error = await new SocketTransport().connect(address, { tls: {} }).catch((reason: Error) => reason);
  expect(error).toMatchObject({ message: "the server sent more than its first line before encryption" });
});

test("a server that does not speak NATS is given up, also if it never ends its line", async () => {
  for (const greeting of ["220 mail.example.net ESMTP\r\n", "x".repeat(128 * 1024)]) {
    const address = await listen(greeting);
    const error = await new SocketTransport().connect(address, PLAIN).catch((reason: Error) => reason);
    expect(error).toMatchObject({ message: "the server does not speak NATS" });
  }
});
