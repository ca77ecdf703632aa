import { afterEach, expect } from "bun:test";
import { openSync, readFileSync, rmSync } from "node:fs";
import { isRunning, until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";

const sandbox = useSandbox();
const clean: (() => unknown)[] = [];
afterEach(async () => {
  while (clean.length > 0) await clean.pop()?.();
});

vmTest(
  "the usage of a job in a scope is recorded although its observer was killed before its end",
  async () => {
    const pid = startBurner("orphan");
    const observer = sandbox().start(
      ["attach", "--pid", String(pid), "--job-id", "kept", "--placement", "scope"],
      { stdout: "ignore", stderr: "ignore" },
    );
    await untilItHasUsedASecond("kept");
    const [scope = ""] = sandbox().cgroups();
    expect(scope).toEndWith("-kept.scope");
    const keepers = processesIn(`${scope}/observer`);
    expect(keepers).toHaveLength(1);
    observer.kill("SIGKILL");
    await observer.exited;
    process.kill(pid, "SIGKILL");
    await until("the process has ended", () => !isRunning(pid));
    expect(processesIn(`${scope}/observer`)).toContain(keepers[0] as number);
    const { ending, usage } = await sandbox().resultOf("kept");
    expect(ending).toBe("unobserved");
    expect(usage.cpu_user_seconds).toBeGreaterThan(1);
    await until("the keeper and the scope are gone", () => sandbox().cgroups().length === 0);
    expect(keepers.filter((each) => isRunning(each))).toEqual([]);
  },
);

vmTest("the next daemon keeps the scope after SIGKILL of the first", async () => {
  const first = await startWatch("first");
  const pid = startBurner("successor");
  const attached = sandbox().start(
    ["attach", "--pid", String(pid), "--job-id", "kept", "--placement", "scope"],
    { stdout: "ignore", stderr: "ignore" },
  );
  await untilItHasUsedASecond("kept");
  const [scope = ""] = sandbox().cgroups();
  const keepers = (): number[] => processesIn(`${scope}/observer`);
  let before = keepers();
  const isAnother = (): boolean => keepers().length === 1 && keepers()[0] !== before[0];
  attached.kill("SIGKILL");
  await until("the daemon keeps the scope", isAnother);
  before = keepers();
  first.daemon.kill("SIGKILL");
  await first.daemon.exited;
  // The process that keeps the scope must not have inherited the lock of the daemon.
  const second = await startWatch("second");
  await until("the second daemon keeps the scope", isAnother);
  process.kill(pid, "SIGKILL");
  await until("its end is logged", () => second.log().includes("JOB kept |"));
  const { usage } = await sandbox().resultOf("kept");
  expect(usage.cpu_user_seconds).toBeGreaterThan(1);
  await until("the scope is gone", () => sandbox().cgroups().length === 0);
});

vmTest("the daemon keeps the scope of a job whose wrapper was killed", async () => {
  const { log } = await startWatch("daemon");
  const { pid, wrapper } = await sandbox().startJob("run", [], ["perl", "-e", "1 while 1"]);
  await untilItHasUsedASecond("run");
  const [scope = ""] = sandbox().cgroups();
  wrapper.kill("SIGKILL");
  await until("the daemon observes the job", () => log().includes("Taking over job run "));
  await until("the daemon keeps its scope", () => processesIn(`${scope}/observer`).length === 1);
  process.kill(pid, "SIGKILL");
  await until("its end is logged", () => log().includes("JOB run |"));
  expect((await sandbox().resultOf("run")).usage.cpu_user_seconds).toBeGreaterThan(1);
  await until("the scope is gone", () => sandbox().cgroups().length === 0);
});

vmTest("detach of a job removes its scope although another ffrtmp keeps it", async () => {
  const { name, path } = sandbox().program("sleep");
  const { log } = await startWatch("daemon", "--target", name, "--placement", "scope");
  const pid = startUnit("released", [path, "1000"]);
  await until("the process is governed", () => log().includes(`Attaching to PID ${pid} `));
  expect(sandbox().cgroups().length).toBeGreaterThan(0);
  expect((await sandbox().run(["detach", `auto-${name}-${pid}`])).code).toBe(0);
  await until("the scope is gone", () => sandbox().cgroups().length === 0);
  expect(isRunning(pid)).toBe(true);
});

async function startWatch(
  file: string,
  ...flags: string[]
): Promise<{ daemon: Bun.Subprocess; log: () => string }> {
  const path = sandbox().path(`${file}.log`);
  rmSync(path, { force: true });
  const words = flags.length > 0 ? flags : ["--target", "nothing-of-this-name"];
  const daemon = sandbox().start(["watch", "--scan-interval", "1h", ...words], {
    stderr: openSync(path, "w"),
    stdout: "ignore",
  });
  const log = (): string => readFileSync(path, "utf8");
  await until("the daemon listens", () => {
    if (daemon.exitCode !== null) throw new Error(`watch ended with ${daemon.exitCode}: ${log()}`);
    return log().includes("Watching for");
  });
  return { daemon, log };
}

/** Starts a service whose only process uses a core. */
function startBurner(name: string): number {
  return startUnit(name, ["perl", "-e", "1 while 1"]);
}

function startUnit(name: string, command: string[]): number {
  const unit = `ffrtmp-${name}-${process.pid}.service`;
  const child = Bun.spawnSync(["systemd-run", "--quiet", "--collect", "--unit", unit, "--", ...command]);
  if (child.exitCode !== 0) throw new Error(child.stderr.toString());
  clean.push(() => Bun.spawnSync(["systemctl", "stop", unit]));
  const pid = Number(Bun.spawnSync(["systemctl", "show", "-P", "MainPID", unit]).stdout.toString());
  sandbox().adopt(pid);
  return pid;
}

async function untilItHasUsedASecond(jobId: string): Promise<void> {
  await until(`${jobId} has used a second of CPU time`, async () => {
    const { code, stdout } = await sandbox().run(["inspect", jobId, "--json"]);
    return code === 0 && JSON.parse(stdout).usage.cpu_user_seconds > 1;
  });
}

function processesIn(directory: string): number[] {
  try {
    return readFileSync(`${directory}/cgroup.procs`, "utf8").split("\n").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
