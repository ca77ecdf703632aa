import { afterEach, expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import {
  eventually,
  findDirectories,
  isRunning,
  lacksLimits,
  lacksRoot,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";
import { startDaemon, type WatchDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
const rootTest = testIf(lacksRoot());
// Without a cgroup that measures it, the background copy records the end, and no hook runs.
const hookTest = testIf(lacksLimits());

let daemon: WatchDaemon | undefined;
let leftover: string | undefined;
afterEach(async () => {
  if (daemon?.process.exitCode === null && daemon.process.signalCode === null) {
    daemon.process.kill("SIGTERM");
    await daemon.process.exited;
  }
  daemon = undefined;
  // The hook runner removes its cgroup after the last call.
  if (leftover !== undefined) {
    const name = leftover;
    leftover = undefined;
    await until("the cgroup of the hooks is removed", () => hookCgroups(name).length === 0);
  }
});

function hookCgroups(name: string): string[] {
  return readHierarchies(realHost()).flatMap(({ mountPoint }) => findDirectories(mountPoint, name));
}

/** Starts a daemon with a policy whose hook is this shell script. Its `$out` is a file of the test. */
async function startWithHook(script: string, policy = ""): Promise<string> {
  const box = sandbox();
  const out = box.path("out");
  writeScript("hook", `out=${out}\n${script}`);
  const path = box.path("policy.yaml");
  writeFileSync(path, `target_commands: [none-${box.tag}]\non_end: ${box.path("hook")}\n${policy}`, {
    mode: 0o644,
  });
  daemon = await startDaemon(box, ["--watch-config", path]);
  leftover = `ffrtmp.hooks-${box.tag}`;
  return out;
}

function writeScript(name: string, script: string): void {
  const path = sandbox().path(name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

/** Ends a job after the daemon has taken it over. */
async function endJob(jobId: string, command: string): Promise<void> {
  const gate = sandbox().path(`gate-${jobId}`);
  const script = `while [ ! -e ${gate} ]; do sleep 0.02; done; ${command}`;
  await sandbox().run(["run", "-d", "--job-id", jobId, "--", "sh", "-c", script]);
  await until("the daemon observes it", async () => {
    const { observer_pid: observer } = await sandbox().json(["inspect", jobId]);
    return observer === daemon?.process.pid;
  });
  writeFileSync(gate, "");
  await sandbox().resultOf(jobId);
}

function linesOf(path: string): string[] {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
}

hookTest("the command of on_end gets each result once, as JSON on its stdin", async () => {
  const out = await startWithHook('cat >> $out; echo "$FFRTMP_JOB_ID $FFRTMP_OUTCOME $FFRTMP_EXIT_CODE"');
  await endJob("good", "exit 0");
  await endJob("bad", "exit 4");
  await endJob("ugly", "kill -KILL $$");
  const results = await eventually("all are reported", () => {
    const lines = linesOf(out);
    return lines.length < 3 ? undefined : lines.map((line) => JSON.parse(line));
  });
  expect(results).toHaveLength(3);
  expect(
    Object.fromEntries(results.map(({ job_id, exit_code, signal }) => [job_id, [exit_code, signal]])),
  ).toEqual({
    good: [0, null],
    bad: [4, null],
    ugly: [null, "SIGKILL"],
  });
  for (const words of ["good succeeded 0", "bad failed 4", "ugly killed"])
    await until(`the log has "${words}"`, () => (daemon as WatchDaemon).log().includes(`: ${words}`));
});

hookTest("a job that ends before the handover is reported too", async () => {
  const out = await startWithHook("cat >> $out");
  await sandbox().run(["run", "-d", "--job-id", "brief", "--", "sh", "-c", "exit 5"]);
  const line = await eventually("it is reported", () => linesOf(out)[0]);
  expect(JSON.parse(line)).toMatchObject({ job_id: "brief", exit_code: 5 });
});

hookTest("a command that exceeds its time is ended with the processes that it started", async () => {
  const out = await startWithHook("sleep 1000 & echo $! > $out; echo waiting; wait", "on_end_timeout: 1s\n");
  await endJob("slow", "exit 0");
  await until("the log says so", () =>
    (daemon as WatchDaemon)
      .log()
      .includes("on_end FAILED for job slow: the command was ended after 1 s: waiting"),
  );
  // The daemon still denies itself every signal.
  expect(readFileSync(`/proc/${daemon?.process.pid}/status`, "utf8")).toMatch(/^Seccomp:\s2$/m);
  const [pid] = linesOf(out);
  await until("its child has ended", () => !isRunning(Number(pid)));
  const { code, stdout } = await sandbox().run(["health"]);
  expect({ code, stdout }).toMatchObject({ code: 1, stdout: expect.stringContaining("on_end failed") });
});

hookTest("a failing command affects no job, and its output in the log is bounded", async () => {
  await startWithHook("head -c 1000000 /dev/zero | tr '\\0' x; exit 3");
  await endJob("loud", "exit 0");
  const log = (daemon as WatchDaemon).log;
  await until("the log says so", () =>
    log().includes("on_end FAILED for job loud: the command has exited with code 3"),
  );
  expect(log().length).toBeLessThan(8000);
  await endJob("next", "exit 0");
});

hookTest("a burst of ends waits, and runs at most four commands at a time", async () => {
  const out = await startWithHook(
    "n=$(ls -d $0.run.* 2>/dev/null | wc -l); mkdir $0.run.$$; echo $n >> $out; sleep 0.2; rmdir $0.run.$$",
  );
  await Promise.all(Array.from({ length: 10 }, (_, index) => endJob(`burst-${index}`, "exit 0")));
  await until("all have run", () => linesOf(out).length === 10);
  expect(Math.max(...linesOf(out).map(Number))).toBeLessThan(4);
});

hookTest("a hook is no workload, even if it runs a target command, and has its own cgroup", async () => {
  const box = sandbox();
  const { name, path } = box.program("sleep");
  const out = box.path("out");
  writeScript("hook", `cat /proc/self/cgroup > ${out}; exec ${path} 3`);
  const policy = box.path("policy.yaml");
  writeFileSync(policy, `target_commands: [${name}]\non_end: ${box.path("hook")}\n`, { mode: 0o644 });
  daemon = await startDaemon(box, ["--watch-config", policy, "--scan-interval", "200ms"]);
  leftover = `ffrtmp.hooks-${box.tag}`;
  await endJob("first", "exit 0");
  await until("the hook has started", () => linesOf(out).length > 0);
  expect(readFileSync(out, "utf8")).toContain(`/ffrtmp.hooks-${box.tag}`);
  // A workload that starts later and is governed shows that the daemon has considered the hook.
  const workload = box.spawn([path, "1000"]);
  await until("the workload is governed", () =>
    (daemon as WatchDaemon).log().includes(`Attaching to PID ${workload.pid} `),
  );
  expect((daemon as WatchDaemon).log().match(/Attaching to/g)).toHaveLength(1);
});

hookTest(
  "a stop of the daemon leaves running commands alone, and SIGKILL of their runner affects no job",
  async () => {
    const box = sandbox();
    const out = await startWithHook("sleep 1; echo done >> $out");
    await endJob("stopped", "exit 0");
    (daemon as WatchDaemon).process.kill("SIGTERM");
    await (daemon as WatchDaemon).process.exited;
    await until("the command has ended", () => linesOf(out).length === 1);
    daemon = await startDaemon(box, ["--watch-config", box.path("policy.yaml")]);
    const runner = await eventually("the runner runs", () => {
      const children = readFileSync(
        `/proc/${daemon?.process.pid}/task/${daemon?.process.pid}/children`,
        "utf8",
      );
      return children
        .split(" ")
        .filter(Boolean)
        .map(Number)
        .find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("run-hooks"));
    });
    process.kill(runner, "SIGKILL");
    await until("the log says so", () =>
      (daemon as WatchDaemon).log().includes("on_end CANNOT RUN: its process has ended"),
    );
    await endJob("unreported", "exit 6");
    await until("it is counted", async () => (await box.json(["ps", "--daemon"])).on_end_dropped === 1);
    // The cgroup of a killed runner stays for the next one.
    (daemon as WatchDaemon).process.kill("SIGTERM");
    await (daemon as WatchDaemon).process.exited;
    daemon = await startDaemon(box, ["--watch-config", box.path("policy.yaml")]);
  },
);

test("on_end that is added while the daemon runs takes effect at its next start, and the daemon says so", async () => {
  const box = sandbox();
  writeScript("hook", "exit 0");
  const policy = box.path("policy.yaml");
  writeFileSync(policy, `target_commands: [none-${box.tag}]\n`, { mode: 0o644 });
  daemon = await startDaemon(box, ["--watch-config", policy, "--events", "polling"]);
  writeFileSync(policy, `target_commands: [none-${box.tag}]\non_end: ${box.path("hook")}\n`);
  const words = "on_end CANNOT RUN: the policy had none when ffrtmp watch started";
  await until("the log says so", () => (daemon as WatchDaemon).log().includes(words));
  const { problems } = await box.json(["health"]);
  expect(problems).toMatchObject([{ severity: "warning", kind: "on-end-unavailable" }]);
  daemon.process.kill("SIGTERM");
  await daemon.process.exited;
  leftover = `ffrtmp.hooks-${box.tag}`;
  daemon = await startDaemon(box, ["--watch-config", policy, "--events", "polling"]);
  expect((await box.run(["health"])).code).toBe(0);
});

rootTest("on_end of a file that another user can change is ignored, and policy check says so", async () => {
  const box = sandbox();
  writeScript("hook", "exit 0");
  const policy = box.path("policy.yaml");
  writeFileSync(policy, `target_commands: [sleep]\non_end: [${box.path("hook")}, word]\n`);
  const check = async () => box.run(["policy", "check", policy]);
  chmodSync(policy, 0o644);
  expect(await check()).toMatchObject({ code: 0, stderr: "" });
  chmodSync(policy, 0o666);
  expect((await check()).stderr).toContain("is ignored");
  chmodSync(policy, 0o644);
  chownSync(box.path("hook"), 65534, 65534);
  expect((await check()).stderr).toMatch(
    /policy.yaml:2:1: on_end: .* is ignored: .*hook belongs to uid 65534/,
  );
});

test("policy check names a command of on_end that cannot be executed, with its place", async () => {
  const policy = sandbox().path("policy.yaml");
  const check = async (line: string) => {
    writeFileSync(policy, `${line}\n`);
    return (await sandbox().run(["policy", "check", policy])).stderr;
  };
  expect(await check("on_end: [/no/such/file]")).toContain(
    'policy.yaml:1:10: on_end[0]: "/no/such/file" does not exist',
  );
  expect(await check("on_end: /bin/sh -c x")).toContain("a command with arguments is a list of its words");
  expect(await check("on_end: alert.sh")).toContain("is not an absolute path");
  expect(await check("on_end: /etc/passwd")).toContain("is not executable");
});
