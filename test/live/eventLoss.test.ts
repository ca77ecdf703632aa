import { expect, test } from "bun:test";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import {
  eventually,
  FFRTMP,
  isStopped,
  lacksCommand,
  lacksRoot,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();

interface Watcher {
  daemon: Bun.Subprocess;
  log(): string;
}

async function watch(
  box: Sandbox,
  target: string,
  flags: string[],
  wrapper: string[] = [],
): Promise<Watcher> {
  const path = box.path(`${flags.join("")}.log`);
  const daemon = box.spawn([...wrapper, FFRTMP, "watch", "--target", target, ...flags], {
    stdout: "ignore",
    stderr: openSync(path, "a"),
  });
  const log = (): string => readFileSync(path, "utf8");
  await until("the daemon watches", async () => {
    const account = await box.json(["ps", "--daemon"]);
    return account?.pid === daemon.pid && account.state === "running";
  });
  return { daemon, log };
}

async function stop({ daemon }: Watcher): Promise<void> {
  daemon.kill("SIGTERM");
  await daemon.exited;
}

function lacksConnector(): string | undefined {
  const missing = lacksRoot() ?? lacksCommand("perl") ?? lacksCommand("setpriv");
  const own = readFileSync("/proc/self/status", "utf8")
    .match(/^NSpid:(.*)$/m)?.[1]
    ?.trim()
    .split(/\s+/);
  return missing ?? (own && own.length > 1 ? "needs the machine's own pid namespace" : undefined);
}

testIf(lacksConnector())(
  "events that the kernel drops are counted, and the missed process is found at once",
  async () => {
    const box = sandbox();
    const program = box.program("perl");
    const go = box.path("go");
    // No regular scan happens during this test, only the one that follows a loss. Without the filter of execs, which would
    // drop the storm before it reaches the buffer.
    const flags = ["--scan-interval", "24h", "--event-buffer", "4K"];
    const watcher = await watch(box, program.name, flags, ["setpriv", "--bounding-set", "-bpf,-sys_admin"]);
    expect(watcher.log()).toContain("events: connector");
    // On a busy machine events may be lost before the storm, because the buffer is small.
    const before = await box.json(["ps", "--daemon"]);

    watcher.daemon.kill("SIGSTOP");
    await until("every thread of the daemon is stopped", () => isStopped(watcher.daemon.pid));
    // Execs: from Linux 6.15 the kernel drops exits before they reach the buffer.
    const storm = "for (1..500) { system('/bin/true') }";
    expect(await box.spawn(["perl", "-e", storm]).exited).toBe(0);
    const workload = box.spawn([
      program.path,
      "-e",
      `select(undef, undef, undef, 0.01) until -e '${go}'; exit 7`,
    ]);
    expect(await box.spawn(["perl", "-e", storm]).exited).toBe(0);
    watcher.daemon.kill("SIGCONT");

    // Said when the look at all processes is over, and counted after that.
    const account = await eventually("the look that the loss led to is on record", async () => {
      if (!watcher.log().includes(`PID ${workload.pid} found by scan (its exec event was missed)`)) return;
      const latest = await box.json(["ps", "--daemon"]);
      const isOver = latest.rescans > before.rescans && latest.found_by_looking > 0;
      return isOver ? latest : undefined;
    });
    expect(watcher.log()).toContain(`Attaching to PID ${workload.pid} `);
    expect(watcher.log()).toMatch(/Process events were lost: .*; scanning all processes/);
    expect(account).toMatchObject({ state: "running", event_source: "connector", found_by_looking: 1 });
    expect(account.rescans).toBeGreaterThan(before.rescans);
    expect(account.overruns).toBeGreaterThan(before.overruns);
    expect(account.events_received).toBeGreaterThan(0);
    // Not every kernel counts dropped events.
    expect(account.events_dropped ?? Number.POSITIVE_INFINITY).toBeGreaterThan(before.events_dropped ?? 0);

    writeFileSync(go, "");
    await until("the end of the workload is logged", () => watcher.log().includes("exit=7"));
    await stop(watcher);
    expect(watcher.log()).toMatch(
      /Events received: \d+, dropped: .*; rescans: [1-9]\d*; .* found by scan only: 1/,
    );
  },
);

test("ps --daemon reports whether the daemon runs, has stopped or has died", async () => {
  const box = sandbox();
  expect(await box.json(["ps", "--daemon"])).toBeNull();
  expect((await box.run(["ps", "--daemon"])).stdout).toContain("no ffrtmp watch has used");

  const first = await watch(box, "no-such-program", ["--scan-interval", "200ms", "--events", "polling"]);
  const running = await box.json(["ps", "--daemon"]);
  expect(running).toMatchObject({
    state: "running",
    pid: first.daemon.pid,
    event_source: "polling",
    targets: ["no-such-program"],
    scan_interval_seconds: 0.2,
    stopped_at: null,
    events_dropped: 0,
  });
  first.daemon.kill("SIGKILL");
  await first.daemon.exited;
  expect(await box.json(["ps", "--daemon"])).toMatchObject({
    state: "died",
    pid: first.daemon.pid,
    stopped_at: null,
  });

  const second = await watch(box, "no-such-program", ["--scan-interval", "300ms"]);
  await stop(second);
  const stopped = await box.json(["ps", "--daemon"]);
  expect(stopped).toMatchObject({ state: "stopped", pid: second.daemon.pid });
  expect(stopped.stopped_at).not.toBeNull();
  const { stdout } = await box.run(["ps", "--daemon"]);
  expect(stdout).toMatch(/^watch +stopped at /m);
  expect(stdout).toMatch(/^received +\d+$/m);
});
