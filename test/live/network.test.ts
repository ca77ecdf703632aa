import { expect } from "bun:test";
import { lacksCommand, lacksRoot, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const ffmpegTest = testIf(lacksCommand("ffmpeg"));
const namespaceTest = testIf(lacksRoot() ?? lacksCommand("unshare") ?? lacksCommand("ip"));

/** A receiver of one stream. It reads until the test stops it. */
function receive() {
  let receivedBytes = 0;
  let connection: { pause(): void } | undefined;
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        connection = socket;
      },
      data: (_, bytes) => {
        receivedBytes += bytes.length;
      },
    },
  });
  return {
    port: listener.port,
    receivedBytes: () => receivedBytes,
    stopReading: () => connection?.pause(),
    [Symbol.dispose]: () => listener.stop(true),
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a line of `stats --json`
type Line = any;

async function once(jobId: string): Promise<Line> {
  const { stdout } = await sandbox().run(["stats", "--once", "--json", jobId]);
  return JSON.parse(stdout);
}

/** An encoder that sends in real time. */
const sender = (port: number) =>
  `ffmpeg -nostdin -loglevel quiet -re -f lavfi -i testsrc2=s=160x120 -c:v mpeg2video -b:v 400k -f mpegts tcp://127.0.0.1:${port}`.split(
    " ",
  );

ffmpegTest(
  "the bytes that a job sends are those that its receiver gets, until the receiver stops",
  async () => {
    using receiver = receive();
    await sandbox().startJob("sender", [], sender(receiver.port));
    await until("the stream arrives", () => receiver.receivedBytes() > 0);
    const before = receiver.receivedBytes();
    const { network } = await once("sender");
    const after = receiver.receivedBytes();
    expect(network.tcp_connections).toBe(1);
    expect(network.tcp_sent_bytes).toBeGreaterThanOrEqual(before);
    // The handshake counts as one byte.
    expect(network.tcp_sent_bytes).toBeLessThanOrEqual(after + 1);
    expect(network.tcp_sent_bytes_per_second).toBeGreaterThan(0);
    expect(network.device_sent_bytes).toBeNull();

    receiver.stopReading();
    await until("the receiver holds the job back", async () => {
      const { network: now } = await once("sender");
      return now.receiver_limited_percent > 95 && now.send_backlog_bytes > 0;
    });
    const held = (await once("sender")).network;
    const later = (await once("sender")).network;
    expect(later.send_backlog_bytes).toBeGreaterThan(held.send_backlog_bytes);
    expect(later.tcp_sent_bytes).toBe(held.tcp_sent_bytes);
  },
);

ffmpegTest("what a job does not read waits in its receive queue", async () => {
  const chunk = new Uint8Array(64 * 1024);
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void socket.write(chunk),
      data() {},
      drain: (socket) => void socket.write(chunk),
    },
  });
  // The shell connects and never reads.
  const command = ["bash", "-c", `exec 9<>/dev/tcp/127.0.0.1/${listener.port}; sleep 600`];
  await sandbox().startJob("deaf", [], command);
  await until("data wait", async () => (await once("deaf")).network.receive_backlog_bytes > 0);
  const { network } = await once("deaf");
  expect(network.tcp_received_bytes).toBe(network.receive_backlog_bytes);
  listener.stop(true);
});

namespaceTest("connections in another network namespace are read there, with its devices", async () => {
  const talk = `ip link set lo up; ip link add v0 type veth peer name v1 && ip addr add 10.9.9.1/24 dev v0 &&
    ip link set v0 up && ip link set v1 up; exec ${process.execPath} -e '
      const data = new Uint8Array(1000);
      const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
      const client = await Bun.connect({ hostname: "127.0.0.1", port: server.port, socket: { data() {} } });
      const { createSocket } = await import("node:dgram");
      const udp = createSocket("udp4");
      udp.bind(0, () => udp.setBroadcast(true));
      setInterval(() => { client.write(data); udp.send(data, 9, "10.9.9.255", () => {}); }, 20);'`;
  await sandbox().startJob("apart", [], ["unshare", "--net", "sh", "-c", talk]);
  await until("data are sent over TCP", async () => (await once("apart")).network?.tcp_connections === 2);
  const { network } = await once("apart");
  expect(network.tcp_sent_bytes_per_second).toBeGreaterThan(0);
  expect(network.tcp_sent_bytes_per_second).toBeGreaterThan(0);
  expect(network.device_sent_bytes).toBeGreaterThan(0);
  expect(network.device_sent_bytes_per_second).toBeGreaterThan(0);
});
