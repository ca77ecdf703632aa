import { expect, test } from "bun:test";
import { askSockDiag, closeSockDiag, openSockDiag } from "../../sys/sockDiag.ts";
import { encodeDump, encodeQuery, endsAnswer, FAMILIES, parseDump, parseState } from "./inetDiag.ts";

// One message: header, inet_diag_msg, and INET_DIAG_INFO with the first `infoBytes` of tcp_info.
function answer(infoBytes: number): DataView {
  const length = 16 + 72 + 4 + infoBytes;
  const view = new DataView(new ArrayBuffer(length));
  view.setUint32(0, length, true);
  view.setUint16(4, 20, true);
  const [body, attribute] = [16, 16 + 72];
  view.setUint8(body, 2);
  view.setUint32(body + 56, 7, true);
  view.setUint32(body + 60, 500, true);
  view.setUint32(body + 68, 4711, true);
  view.setUint16(attribute, 4 + infoBytes, true);
  view.setUint16(attribute + 2, 2, true);
  const counters = { 120: 1000n, 128: 2000n, 176: 3000n, 208: 40n };
  for (const [offset, value] of Object.entries(counters))
    if (Number(offset) + 8 <= infoBytes) view.setBigUint64(attribute + 4 + Number(offset), value, true);
  return view;
}

test("the state of a connection has its queues and counters", () => {
  expect(parseState([answer(232)])).toEqual({
    receiveQueueBytes: 7,
    sendQueueBytes: 500,
    ackedBytes: 1000,
    receivedBytes: 2000,
    windowLimitedUsec: 3000,
    retransmittedBytes: 40,
  });
});

test("a counter that an older kernel lacks is absent", () => {
  expect(parseState([answer(192)])).toMatchObject({ windowLimitedUsec: 3000, retransmittedBytes: null });
  expect(parseState([answer(104)])).toMatchObject({ sendQueueBytes: 500, ackedBytes: null });
});

test("an error in place of an answer is no state, and cut messages are ignored", () => {
  const error = new DataView(new ArrayBuffer(36));
  error.setUint32(0, 36, true);
  error.setUint16(4, 2, true);
  expect(parseState([error])).toBeUndefined();
  expect(endsAnswer(error)).toBe(true);
  const cut = answer(232);
  cut.setUint32(0, 9999, true);
  expect(parseState([cut])).toBeUndefined();
});

test("the kernel lists a connection of this process and answers about it alone", async () => {
  const received = Promise.withResolvers<void>();
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: () => received.resolve() },
  });
  const client = await Bun.connect({
    hostname: "127.0.0.1",
    port: listener.port,
    socket: { data() {}, open: (socket) => void socket.write("x".repeat(1234)) },
  });
  await received.promise;
  const socket = openSockDiag();
  expect(socket).toBeGreaterThanOrEqual(0);
  const connections = FAMILIES.flatMap((family) => [
    ...parseDump(askSockDiag(socket, encodeDump(family), endsAnswer)).values(),
  ]);
  const own = connections.find(({ sockid }) => {
    const ports = new DataView(sockid.buffer);
    return ports.getUint16(2) === listener.port;
  });
  if (own === undefined) throw new Error("the kernel does not list the connection");
  const state = parseState(askSockDiag(socket, encodeQuery(own), endsAnswer));
  // The SYN takes a place in the sequence too: tcp_snd_una_update() in net/ipv4/tcp_input.c.
  expect([1234, 1235]).toContain(state?.ackedBytes ?? -1);
  expect(state?.sendQueueBytes).toBe(0);

  const other = { ...own, sockid: own.sockid.slice() };
  other.sockid[47] = (other.sockid[47] as number) ^ 0xff;
  expect(parseState(askSockDiag(socket, encodeQuery(other), endsAnswer))).toBeUndefined();
  closeSockDiag(socket);
  client.end();
  listener.stop(true);
});
