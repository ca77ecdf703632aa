// A stand-in for systemd's manager: a D-Bus server on the socket that is its first argument. The second argument selects
// how it answers. It runs in a process of its own, because the client waits synchronously.

import { messageLength } from "../../../src/linux/dbus/message.ts";
import { decodeCall, encodeAnswer } from "../dbusServer.ts";

const [path = "", manner = "obliging"] = process.argv.slice(2);
const HEADER_BYTES = 16;
/** What systemd 252 answers for a unit that restricts neither devices nor addresses. */
const UNRESTRICTED: Record<string, [signature: string, value: never]> = {
  DevicePolicy: ["s", "auto" as never],
  RestrictNetworkInterfaces: ["(bas)", [false, []] as never],
};

interface Client {
  pending: Uint8Array;
  isGreeted: boolean;
  /** Counted from 1. */
  connection: number;
  calls: number;
}
let connections = 0;

Bun.listen<Client>({
  unix: path,
  socket: {
    open(socket) {
      socket.data = { pending: new Uint8Array(0), isGreeted: false, connection: ++connections, calls: 0 };
      if (manner === "closing") socket.end();
    },
    data(socket, bytes) {
      if (manner === "silent") return;
      const { data } = socket;
      data.pending = Buffer.concat([data.pending, bytes]);
      if (!data.isGreeted) {
        const end = Buffer.from(data.pending).indexOf("BEGIN\r\n");
        if (end < 0) return;
        socket.write(
          manner === "refusing" ? "REJECTED EXTERNAL\r\n" : "OK 0123456789abcdef0123456789abcdef\r\n",
        );
        data.pending = data.pending.slice(end + "BEGIN\r\n".length);
        data.isGreeted = true;
        if (manner === "garbage") socket.write("l".repeat(64));
        // As systemd: a call that arrived with the greeting waits for the next bytes.
        return;
      }
      answerCalls(socket, data);
    },
  },
});
process.stdout.write("ready\n");

function answerCalls(socket: Bun.Socket<unknown>, data: Client): void {
  while (data.pending.length >= HEADER_BYTES) {
    const length = messageLength(data.pending.subarray(0, HEADER_BYTES));
    if (data.pending.length < length) return;
    const { serial, member, body } = decodeCall(data.pending.slice(0, length));
    data.pending = data.pending.slice(length);
    if (process.argv.includes("--print")) process.stdout.write(`${JSON.stringify({ member, body })}\n`);
    data.calls++;
    socket.write(encodeAnswer(serial, ...answerOf(member, body, data)));
  }
}

function answerOf(
  member: string,
  body: unknown[],
  { connection, calls }: Client,
): [signature: string, values: never[], errorName?: string] {
  if (manner === "counting")
    return ["s", [`connection ${connection}, call ${calls}` as never], "org.freedesktop.systemd1.Counted"];
  if (member === "Hello") return ["s", [":1.1" as never]];
  if (member === "Get") {
    const [signature, value] = UNRESTRICTED[String(body[1])] ?? ["as", [] as never];
    return ["v", [{ signature, value } as never]];
  }
  if (manner === "knowing")
    return ["s", [`Unit ${body[0]} was already loaded` as never], "org.freedesktop.systemd1.UnitExists"];
  return ["o", ["/org/freedesktop/systemd1/job/1" as never]];
}
