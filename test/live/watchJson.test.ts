import { expect, test } from "bun:test";
import { closeSync, existsSync, fstatSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { findDirectories, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

interface Log {
  daemon: Bun.Subprocess;
  out(): string;
  err(): string;
}

function startWatch(flags: string[], env: Record<string, string> = {}): Log {
  const box = sandbox();
  const [out, err] = [box.path("out"), box.path("err")];
  const daemon = box.start(["watch", "--scan-interval", "200ms", ...flags], {
    stdout: openSync(out, "w"),
    stderr: openSync(err, "w"),
    env,
  });
  return { daemon, out: () => readFileSync(out, "utf8"), err: () => readFileSync(err, "utf8") };
}

async function stop({ daemon }: Log): Promise<void> {
  daemon.kill("SIGTERM");
  expect(await daemon.exited).toBe(0);
}

limitsTest("watch --json prints one JSON object for each event, with stable keys", async () => {
  const box = sandbox();
  const { name, path } = box.program("sleep");
  const log = startWatch(["--json", "--target", name, "--cpu-quota", "50"]);
  const events = () =>
    log
      .out()
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  const named = (kind: string) => events().find((event) => event.kind === kind);
  await until("it watches", () => named("daemon_started") !== undefined);
  const workload = box.spawn([path, "1000"]);
  await until("it is governed", () => named("job_attached") !== undefined);
  workload.kill("SIGKILL");
  await until("its end is logged", () => named("job_ended") !== undefined);
  await stop(log);
  const jobId = `auto-${name}-${workload.pid}`;
  expect(named("job_attached")).toMatchObject({
    level: "info",
    job_id: jobId,
    pid: workload.pid,
    target: name,
    message: `Attaching to PID ${workload.pid} (${name}) as job ${jobId}`,
    limits: [{ limit: "cpu.max", outcome: "applied" }],
  });
  expect(named("job_ended")).toMatchObject({ job_id: jobId, result: { job_id: jobId, signal: "SIGKILL" } });
  expect(named("job_ended").message).toStartWith(`JOB ${jobId} | outcome=killed | sla=`);
  for (const { time, level, kind, message } of events()) {
    expect(new Date(time).toISOString()).toBe(time);
    expect([typeof level, typeof kind, typeof message]).toEqual(["string", "string", "string"]);
  }
  expect(log.err()).toBe("");
});

limitsTest("watch --json and on_end show no stream key of a command", async () => {
  const box = sandbox();
  const { name, path } = box.program("bash");
  const [hook, hooked, policy] = [box.path("hook"), box.path("hooked"), box.path("policy.yaml")];
  writeFileSync(hook, `#!/bin/sh\ncat >> ${hooked}\n`, { mode: 0o755 });
  writeFileSync(policy, `target_commands: [${name}]\non_end: ${hook}\n`, { mode: 0o644 });
  const log = startWatch(["--json", "--watch-config", policy]);
  await until("it answers", async () => (await box.run(["health"])).stdout.includes("has run for"));
  const workload = box.spawn([path, "-c", "kill -STOP $$", "rtmp://example.com/live/planted-key-812"]);
  await until("it is governed", () => log.out().includes('"job_attached"'));
  workload.kill("SIGKILL");
  await until("the hook has run", () => existsSync(hooked) && readFileSync(hooked, "utf8").endsWith("\n"));
  await stop(log);
  for (const text of [log.out(), log.err(), readFileSync(hooked, "utf8")]) {
    expect(text).not.toContain("planted-key-812");
  }
  expect(log.out()).toContain("rtmp://example.com/live/");
  expect(readFileSync(hooked, "utf8")).toContain("rtmp://example.com/live/");
  await until("the cgroup of the hooks is removed", () =>
    readHierarchies(realHost()).every(
      ({ mountPoint }) => findDirectories(mountPoint, `ffrtmp.hooks-${box.tag}`).length === 0,
    ),
  );
});

test("--log-level and FFRTMP_LOG_LEVEL choose the events that are logged", async () => {
  const policy = sandbox().path("policy.yaml");
  const run = async (flags: string[], env: Record<string, string> = {}) => {
    writeFileSync(policy, "target_commands: [none-such]\n");
    const log = startWatch(["--watch-config", policy, "--events", "polling", ...flags], env);
    await until("it answers", async () => (await sandbox().run(["health"])).code === 0);
    writeFileSync(policy, "target_commands: 7\n");
    await until("the policy is rejected", async () => (await sandbox().run(["health"])).code === 1);
    await stop(log);
    return log.err();
  };
  const debug = await run(["--log-level", "debug"]);
  expect(debug).toContain("Watching for");
  expect(debug).toContain("Observing 0 jobs; events: polling");
  const error = await run([], { FFRTMP_LOG_LEVEL: "error" });
  expect(error).toContain("POLICY REJECTED");
  expect(error).not.toContain("Watching for");
  expect(await run(["--log-level", "info"], { FFRTMP_LOG_LEVEL: "error" })).toContain("Watching for");
  const wrong = await sandbox().run(["watch", "--log-level", "loud"]);
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain("error, warn, info, debug");
});

test("lines for the journal begin with their priority, and others do not", async () => {
  const path = sandbox().path("err");
  closeSync(openSync(path, "w"));
  const { dev, ino } = fstatSync(openSync(path, "r"));
  for (const [stream, expected] of [
    [`${dev}:${ino}`, /^<6>\S+Z Watching for/],
    [`${dev}:${ino + 1}`, /^\S+Z Watching for/],
  ] as const) {
    const log = startWatch(["--target", "none-such", "--events", "polling"], { JOURNAL_STREAM: stream });
    await until("it watches", () => log.err().includes("Watching for"));
    await stop(log);
    expect(log.err()).toMatch(expected);
  }
});
