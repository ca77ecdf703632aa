import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { countOpenDescriptors, endConnection, listConnections } from "./connections.ts";

function portOf(server: ReturnType<typeof createServer>): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it does not listen");
  return address.port;
}

test.each(["127.0.0.1", "::1"])("lists and ends the connections at a port of %s alone", async (host) => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const port = portOf(server);
  expect(listConnections(port)).toEqual([]);
  const client = connect(port, host);
  await new Promise((resolve) => server.once("connection", resolve));
  const [fd = -1, ...more] = listConnections(port);
  expect(more).toEqual([]);
  const ended = new Promise((resolve) => client.once("end", resolve));
  client.resume();
  expect(endConnection(fd)).toBe(0);
  await ended;
  client.destroy();
  for (const socket of accepted) socket.destroy();
  server.close();
});

test("counts the open descriptors", () => {
  // The list has the descriptor that lists them.
  expect(countOpenDescriptors()).toBe(readdirSync("/proc/self/fd").length - 1);
});
