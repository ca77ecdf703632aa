import { expect, test } from "bun:test";
import { realHost } from "../../linux/host.ts";
import { NetworkReader } from "./networkReader.ts";

test("the rate of a connection that is read for the first time is not known", async () => {
  let nowMs = 0;
  const reader = new NetworkReader({ ...realHost(), bootNow: () => nowMs });
  const subject = { key: "a", pids: [process.pid] };
  const readAt = async (atMs: number) => {
    nowMs = atMs;
    return (await reader.read([subject])).get("a");
  };
  await readAt(0);
  expect(await readAt(2000)).toMatchObject({
    connections: 0,
    rates: { sentBytesPerSecond: 0, receivedBytesPerSecond: 0 },
  });
  const received = Promise.withResolvers<void>();
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: () => received.resolve() },
  });
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: listener.port,
    socket: { data() {} },
  });
  try {
    socket.write("hello");
    await received.promise;
    const first = await readAt(4000);
    expect(first).toMatchObject({ connections: 2, bytes: { received: 5 } });
    expect(first?.rates).toMatchObject({ sentBytesPerSecond: null, receivedBytesPerSecond: null });
    expect((await readAt(5000))?.rates).toMatchObject({ sentBytesPerSecond: 0, receivedBytesPerSecond: 0 });
  } finally {
    socket.terminate();
    listener.stop(true);
    reader.close();
  }
});
