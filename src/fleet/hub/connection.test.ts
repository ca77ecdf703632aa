import { expect, test } from "bun:test";
import { createNKey } from "../keys/nkey.ts";
import { connectToHub } from "./connection.ts";

test("a server that closes the connection while it is made is tried again, and then named as unreachable", async () => {
  let tries = 0;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        tries++;
        // A reset: SO_LINGER with 0.
        socket.terminate();
      },
      data: () => {},
    },
  });
  try {
    const credentials = {
      hub: [`tls://127.0.0.1:${server.port}`],
      authority: undefined,
      seed: createNKey().seed,
      inboxPrefix: "_INBOX.x",
      name: "test",
    };
    const error = await connectToHub(credentials).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ fault: "unreachable" });
    expect(tries).toBe(3);
  } finally {
    server.stop(true);
  }
});
