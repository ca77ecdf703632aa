import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import {
  eventually,
  isRunning,
  isStopped,
  lacksCommand,
  lacksLimits,
  readProc,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";
import { startAsService, startDaemon, type WatchDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());
const serviceTest = testIf(lacksLimits() ?? lacksCommand("setpriv"));
const METERING = join(import.meta.dir, "../../packaging/systemd-drop-ins/metering.conf");
const ffmpegTest = testIf(lacksLimits() ?? lacksCommand("ffmpeg"));

/** Returns a port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a daemon that shows its jobs at an address, and returns what it shows there. Frequent calls make it read often. */
async function startListening(
  flags: string[] = [],
  start: (flags: string[]) => Promise<WatchDaemon> = (all) => startDaemon(sandbox(), all),
) {
  const port = await freePort();
  const daemon = await start([
    "--target",
    `none-${sandbox().tag}`,
    "--listen",
    `127.0.0.1:${port}`,
    ...flags,
  ]);
  const metrics = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  /** The value of a series that begins like this; `undefined` where there is none. */
  const numberOf = async (series: string): Promise<number | undefined> => {
    const line = (await metrics()).split("\n").find((each) => each.startsWith(series));
    return line === undefined ? undefined : Number(line.split(" ").at(-1));
  };
  const meter = await meterOf(daemon);
  sandbox().adopt(meter);
  return { daemon, metrics, numberOf, meter };
}

/** Returns the PID of the meter beside a daemon. */
async function meterOf({ process: { pid } }: WatchDaemon): Promise<number> {
  return eventually("the daemon has a meter", () =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
      .split(" ")
      .filter(Boolean)
      .map(Number)
      .find((child) => readProc(child, "cmdline").split("\0").includes("meter")),
  );
}

/** A receiver of streams. */
function receive() {
  let receivedBytes = 0;
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data: (_, bytes) => {
        receivedBytes += bytes.length;
      },
    },
  });
  return {
    port: listener.port,
    receivedBytes: () => receivedBytes,
    [Symbol.dispose]: () => listener.stop(true),
  };
}

/** Starts an encoder that sends in real time and reports its progress, as a job that the daemon observes. */
async function startSender(port: number): Promise<number> {
  const progress = sandbox().path("progress.txt");
  const command = `ffmpeg -nostdin -loglevel quiet -re -f lavfi -i testsrc2=s=160x120 -c:v mpeg2video -b:v 400k -progress ${progress} -f mpegts tcp://127.0.0.1:${port}`;
  return (await sandbox().startJob("sender", ["--pids-max", "50"], command.split(" "))).pid;
}

ffmpegTest("watch shows how fast a job is and what it sends, and keeps it in the job's history", async () => {
  using receiver = receive();
  const { metrics, numberOf } = await startListening();
  const pid = await startSender(receiver.port);
  await until(
    "its speed is known",
    async () => (await numberOf("ffrtmp_job_media_speed_ratio")) !== undefined,
  );
  expect(await metrics()).toContain('ffrtmp_job_media_seconds_total{job_id="sender",source="progress"} ');
  expect(await numberOf("ffrtmp_job_media_speed_ratio")).toBeGreaterThan(0);
  expect(await numberOf("ffrtmp_job_frames_total")).toBeGreaterThan(0);
  const before = receiver.receivedBytes();
  const sent = 'ffrtmp_job_network_tcp_bytes_total{job_id="sender",direction="sent"} ';
  await until("all that has arrived was sent", async () => ((await numberOf(sent)) ?? 0) >= before);
  // The handshake counts as one byte.
  expect(await numberOf(sent)).toBeLessThanOrEqual(receiver.receivedBytes() + 1);
  process.kill(pid, "SIGKILL");
  await sandbox().resultOf("sender");
  expect(await numberOf(sent)).toBeGreaterThan(0);
  // By watch, which learns of the end by itself; the result is of run.
  const points = await eventually(
    "its history is recorded",
    async () => (await sandbox().json(["inspect", "sender"])).usage_history?.points,
  );
  const sum = (key: string) =>
    points.reduce((total: number, point: Record<string, number | null>) => total + (point[key] ?? 0), 0);
  expect(sum("tcp_sent_bytes")).toBeGreaterThan(0);
  expect(sum("tcp_sent_bytes")).toBeLessThanOrEqual(receiver.receivedBytes() + 1);
  expect(sum("media_seconds")).toBeGreaterThan(1);
});

ffmpegTest("a meter that ends takes its numbers along, and nothing else", async () => {
  using receiver = receive();
  const { daemon, metrics, numberOf, meter } = await startListening();
  const pid = await startSender(receiver.port);
  await until(
    "the meter answers",
    async () => (await numberOf("ffrtmp_job_network_tcp_bytes")) !== undefined,
  );
  process.kill(meter, "SIGKILL");
  await until(
    "its numbers are gone",
    async () => !(await metrics()).includes("ffrtmp_job_network_tcp_bytes"),
  );
  expect(await metrics()).toContain('ffrtmp_job_processes{job_id="sender"} 1\n');
  expect(isRunning(pid)).toBe(true);
  expect(daemon.log().match(/NOT MEASURED/g)).toHaveLength(1);
  const { problems } = await sandbox().json(["health"]);
  expect(problems.map(({ kind }: { kind: string }) => kind)).toContain("meter-unavailable");
  // The daemon has collected it.
  expect(isRunning(meter)).toBe(false);
  process.kill(pid, "SIGKILL");
  expect((await sandbox().resultOf("sender")).exit_evidence).not.toBeNull();
});

limitsTest("a meter that is stopped delays nothing, and its old numbers are not shown", async () => {
  const target = sandbox().program("sleep");
  const { daemon, metrics, numberOf, meter } = await startListening(["--target", target.name]);
  await sandbox().startJob("first", ["--pids-max", "50"], ["sleep", "600"]);
  await until(
    "the meter answers",
    async () => (await numberOf("ffrtmp_job_network_tcp_bytes")) !== undefined,
  );
  process.kill(meter, "SIGSTOP");
  await until("the meter is stopped", () => isStopped(meter));
  await until(
    "its numbers are gone",
    async () => !(await metrics()).includes("ffrtmp_job_network_tcp_bytes"),
  );
  const found = sandbox().spawn([target.path, "600"]);
  await until("a process is found and governed", () =>
    daemon.log().includes(`Attaching to PID ${found.pid} (`),
  );
  await until("it is measured", async () =>
    (await metrics()).includes(`ffrtmp_job_cpu_seconds_total{job_id="auto-${target.name}-${found.pid}"}`),
  );
  process.kill(meter, "SIGCONT");
  await until("its numbers are back", async () => (await metrics()).includes(`direction="sent"}`));
});

limitsTest("the meter ends with the daemon, even if it is stopped", async () => {
  const first = await startListening();
  process.kill(first.daemon.process.pid, "SIGKILL");
  await until("the idle meter has ended", () => !isRunning(first.meter));
  const second = await startListening();
  await sandbox().startJob("first", ["--pids-max", "50"], ["sleep", "600"]);
  await until(
    "the meter answers",
    async () => (await second.numberOf("ffrtmp_job_network_tcp")) !== undefined,
  );
  process.kill(second.meter, "SIGSTOP");
  await until("the meter is stopped", () => isStopped(second.meter));
  process.kill(second.daemon.process.pid, "SIGKILL");
  await until("the stopped meter has ended", () => !isRunning(second.meter));
  const third = await startListening();
  await until(
    "the meter answers",
    async () => (await third.numberOf("ffrtmp_job_network_tcp")) !== undefined,
  );
  third.daemon.process.kill("SIGTERM");
  expect(await third.daemon.process.exited).toBe(0);
  await until("the meter of a daemon that stops has ended", () => !isRunning(third.meter));
});

limitsTest("the meter has few rights and an ordinary priority, and is no workload", async () => {
  const { numberOf, meter } = await startListening();
  await sandbox().startJob("first", ["--pids-max", "50"], ["sleep", "600"]);
  await until("the meter answers", async () => (await numberOf("ffrtmp_job_network_tcp")) !== undefined);
  const status = readProc(meter, "status");
  expect(status).toMatch(/^NoNewPrivs:\t1$/m);
  expect(status).toMatch(/^Seccomp:\t2$/m);
  const effective = BigInt(`0x${/^CapEff:\t([0-9a-f]+)$/m.exec(status)?.[1]}`);
  // CAP_KILL, CAP_SETPCAP, CAP_NET_ADMIN, CAP_SYS_MODULE and CAP_SYS_RESOURCE.
  for (const right of [5n, 8n, 12n, 16n, 24n]) expect((effective >> right) & 1n).toBe(0n);
  const fields = readProc(meter, "stat").split(") ").at(-1)?.split(" ") ?? [];
  // Fields 19 and 41 of proc_pid_stat(5): nice and the scheduling policy.
  expect({ nice: fields[16], policy: fields[38] }).toEqual({ nice: "0", policy: "0" });
  const { stderr } = await sandbox().run(["attach", "--pid", String(meter)]);
  expect(stderr).toContain("it is an ffrtmp process");
});

/** Returns the capabilities that a process has, by number. */
function hasCapability(pid: number, bit: bigint): boolean {
  const permitted = BigInt(`0x${/^CapPrm:\t([0-9a-f]+)$/m.exec(readProc(pid, "status"))?.[1]}`);
  return ((permitted >> bit) & 1n) === 1n;
}

serviceTest("in the packaged service the meter reads what it may, and all with the drop-in", async () => {
  const [ptrace, setuid, admin] = [19n, 7n, 21n];
  const drop = readFileSync(METERING, "utf8");
  const added = /^CapabilityBoundingSet=(.*)$/m.exec(drop)?.[1]?.split(" ") ?? [];
  await sandbox().startJob("first", ["--pids-max", "50"], ["sleep", "600"]);
  const weak = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "sleep", "600"];
  await sandbox().startJob("second", ["--pids-max", "50"], weak);
  const plain = await startListening([], (flags) => startAsService(sandbox(), flags));
  expect(hasCapability(plain.meter, ptrace)).toBe(false);
  const networkOf = (job: string) => `ffrtmp_job_network_tcp_bytes_total{job_id="${job}"`;
  await until(
    "the job without capabilities is measured",
    async () => (await plain.numberOf(networkOf("second"))) !== undefined,
  );
  // This one has more than the service, which may not list its descriptors.
  expect(await plain.numberOf(networkOf("first"))).toBeUndefined();
  plain.daemon.process.kill("SIGTERM");
  await plain.daemon.process.exited;
  const granted = await startListening([], (flags) => startAsService(sandbox(), flags, added));
  await until(
    "the connections of the job are counted",
    async () => (await granted.numberOf(networkOf("first"))) !== undefined,
  );
  for (const bit of [ptrace, setuid, admin]) expect(hasCapability(granted.meter, bit)).toBe(true);
  for (const bit of [setuid, admin]) expect(hasCapability(granted.daemon.process.pid, bit)).toBe(false);
});
