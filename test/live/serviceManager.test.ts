import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { pidfdsReportExitCodes } from "../../src/linux/events/bestEvents.ts";
import { closeFd } from "../../src/sys/descriptor.ts";
import { openPidfd } from "../../src/sys/pidfd.ts";
import { FFRTMP, isRunning, lacksRoot, testIf, until, useSandbox } from "../support/sandbox.ts";
import { StandInManager } from "../support/standInManager.ts";

const sandbox = useSandbox();
const keepsRecords = await pidfdsReportExitCodes();
const recordTest = testIf(
  keepsRecords ? undefined : "pidfds of this kernel keep no exit record (Linux 6.15)",
);
const rootTest = testIf(lacksRoot());

let manager: StandInManager | undefined;
afterEach(() => {
  manager?.close();
  manager = undefined;
});

interface Service {
  manager: StandInManager;
  target: string;
  start(...flags: string[]): Promise<Bun.Subprocess>;
  log(): string;
  /** Starts a workload that the daemon governs. It exits with `code` when `end` is called. */
  workload(code: number): Promise<{ pid: number; jobId: string; name: string; end(): Promise<void> }>;
}

function useService(): Service {
  const box = sandbox();
  const standIn = new StandInManager();
  manager = standIn;
  const path = box.path("watch.log");
  const { name: target, path: program } = box.program("bash");
  const log = () => (existsSync(path) ? readFileSync(path, "utf8") : "");
  return {
    manager: standIn,
    target,
    log,
    async start(...flags) {
      const ready = standIn.count("READY=1");
      const watch = standIn.start([FFRTMP, "watch", "--target", target, ...flags], path, box.environment);
      box.adopt(watch.pid);
      await until("the daemon is ready", () => {
        if (watch.exitCode !== null) throw new Error(log());
        return standIn.count("READY=1") > ready;
      });
      return watch;
    },
    async workload(code) {
      const gate = box.path(`gate-${Bun.randomUUIDv7()}`);
      const script = `while [ ! -e ${gate} ]; do sleep 0.02; done; exit ${code}`;
      const { pid } = box.spawn([program, "-c", script], { stdout: "ignore", stderr: "ignore" });
      const jobId = `auto-${target}-${pid}`;
      const storedName = () => [...standIn.store.keys()].find((name) => name.startsWith(`${jobId}@`));
      await until("the workload's pidfd is stored", () => storedName() !== undefined);
      const end = async () => {
        writeFileSync(gate, "");
        await until("the workload is gone", () => !existsSync(`/proc/${pid}`));
      };
      return { pid, jobId, name: storedName() as string, end };
    },
  };
}

async function killHard(watch: Bun.Subprocess): Promise<void> {
  watch.kill("SIGKILL");
  await watch.exited;
}

test("the manager receives the start, the watchdog resets, the status, and the end", async () => {
  const service = useService();
  const watch = await service.start("--scan-interval", "100ms");
  const { messages } = service.manager;
  const { end, name } = await service.workload(0);
  await until("the status counts the job", () =>
    messages.some((text) => /^STATUS=Governing 1 job; events: \w+, dropped: /.test(text)),
  );
  const beats = service.manager.count("WATCHDOG=1");
  await until("the watchdog is reset again", () => service.manager.count("WATCHDOG=1") > beats + 3);
  await end();
  await until("the manager stores nothing", () => service.manager.store.size === 0);
  expect(messages).toContain(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  await until(
    "the status counts no job",
    () => messages.findLast((text) => text.startsWith("STATUS="))?.includes("0 jobs") ?? false,
  );
  watch.kill("SIGTERM");
  expect(await watch.exited).toBe(0);
  await until("the end is reported", () => messages.at(-1) === "STOPPING=1");
});

test("the manager stores a pidfd of the process itself, and only one", async () => {
  const service = useService();
  const watch = await service.start();
  const { pid, name } = await service.workload(0);
  const fd = service.manager.store.get(name);
  expect(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")).toContain(`Pid:\t${pid}\n`);
  await killHard(watch);
  await service.start();
  expect(service.manager.messages.filter((text) => text.startsWith("FDSTORE="))).toHaveLength(1);
  expect(service.manager.store.get(name)).toBe(fd as number);
});

recordTest("the exit code of a job that ended while no daemon ran is known, and true", async () => {
  const service = useService();
  const watch = await service.start();
  const seven = await service.workload(7);
  const zero = await service.workload(0);
  const killed = await service.workload(1);
  await killHard(watch);
  await seven.end();
  await zero.end();
  process.kill(killed.pid, "SIGKILL");
  await until("it is gone", () => !existsSync(`/proc/${killed.pid}`));
  await service.start();
  for (const [{ jobId }, end] of [
    [seven, { exit_code: 7, signal: null }],
    [zero, { exit_code: 0, signal: null }],
    [killed, { exit_code: null, signal: "SIGKILL" }],
  ] as const) {
    expect(await sandbox().resultOf(jobId)).toMatchObject({
      ...end,
      ending: "exited",
      exit_evidence: "pidfd",
    });
  }
  expect(service.log()).toMatch(new RegExp(`JOB ${seven.jobId} .* exit=7 `));
  await until("the manager stores nothing", () => service.manager.store.size === 0);
  expect(sandbox().cgroups()).toEqual([]);
});

test("a job that outlives its daemon is taken over by the next one, which records its end", async () => {
  const service = useService();
  const first = await service.start();
  const { jobId, pid, end } = await service.workload(5);
  await killHard(first);
  expect(isRunning(pid)).toBe(true);
  const second = await service.start();
  expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: jobId, pid, observer_pid: second.pid }]);
  expect(service.log()).toContain(`Taking over job ${jobId} (PID ${pid})`);
  await end();
  expect(await sandbox().resultOf(jobId)).toMatchObject({
    ending: "exited",
    ...(keepsRecords ? { exit_code: 5 } : {}),
  });
  await until("the manager stores nothing", () => service.manager.store.size === 0);
});

rootTest("the exit code of an uncollected zombie is read from it, and not guessed", async () => {
  const service = useService();
  const watch = await service.start();
  // perl collects its children only on request.
  const { path } = sandbox().program("bash");
  const gate = sandbox().path("gate");
  const child = `while [ ! -e ${gate} ]; do sleep 0.02; done; exit 9`;
  const script = "my $pid = fork; exec { $ARGV[0] } @ARGV if !$pid; sleep 1000";
  sandbox().spawn(["perl", "-e", script, path, "-c", child], { stdout: "ignore", stderr: "ignore" });
  await until("the workload's pidfd is stored", () => service.manager.store.size === 1);
  const [name = ""] = service.manager.store.keys();
  const jobId = name.split("@")[0] as string;
  const { pid } = await sandbox().json(["inspect", jobId]);
  await killHard(watch);
  writeFileSync(gate, "");
  await until("the process has ended", () => !isRunning(pid));
  await service.start();
  expect(await sandbox().resultOf(jobId)).toMatchObject({ exit_code: 9, exit_evidence: "proc-stat" });
});

test("a descriptor of another process is rejected, whatever its name", async () => {
  const service = useService();
  const watch = await service.start();
  const { jobId, name, end } = await service.workload(3);
  await killHard(watch);
  await end();
  const stranger = sandbox().spawn(["sleep", "1000"]);
  closeFd(service.manager.store.get(name) as number);
  service.manager.store.set(name, openPidfd(stranger.pid));
  await service.start();
  expect(await sandbox().resultOf(jobId)).toMatchObject({
    ending: "unobserved",
    exit_code: null,
    exit_evidence: null,
  });
  expect(isRunning(stranger.pid)).toBe(true);
  await until("it is dropped", () => service.manager.store.size === 0);
});

test("descriptors of no job are dropped", async () => {
  const service = useService();
  const pidfd = openPidfd(process.pid);
  service.manager.store.set("stored", pidfd);
  service.manager.store.set(`gone@${Bun.randomUUIDv7()}`, openPidfd(process.pid));
  const watch = await service.start();
  await until("both are dropped", () => service.manager.store.size === 0);
  expect(watch.exitCode).toBeNull();
  const shown = Array.from(
    new Bun.Glob("*").scanSync({ cwd: `/proc/${watch.pid}/fdinfo`, onlyFiles: false }),
    (fd) => readFileSync(`/proc/${watch.pid}/fdinfo/${fd}`, "utf8"),
  );
  expect(shown.length).toBeGreaterThan(3);
  expect(shown.filter((text) => text.includes(`Pid:\t${process.pid}\n`))).toEqual([]);
});

test("SIGHUP is reported as a reload that starts and ends, and changes nothing for the job", async () => {
  const service = useService();
  const watch = await service.start();
  const { pid, jobId } = await service.workload(0);
  const ready = service.manager.count("READY=1");
  watch.kill("SIGHUP");
  await until("the daemon is ready again", () => service.manager.count("READY=1") > ready);
  expect(service.manager.messages.join("\n")).toMatch(/RELOADING=1\nMONOTONIC_USEC=\d+\n(.*\n)*READY=1/);
  expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: jobId, pid, observer_pid: watch.pid }]);
  expect(service.manager.store.size).toBe(1);
});

test("a job whose pidfd is stored twice is observed once, and its pidfd stays stored", async () => {
  const service = useService();
  const watch = await service.start();
  const { jobId, pid, name } = await service.workload(0);
  await killHard(watch);
  // The stand-in passes both under one name, as systemd would.
  service.manager.twins.set(name, openPidfd(pid));
  const second = await service.start();
  await until("the job is taken over", async () => {
    const [row] = await sandbox().json(["ps"]);
    return row.job_id === jobId && row.observer_pid === second.pid;
  });
  expect(service.manager.store.has(name)).toBe(true);
  expect(service.manager.messages.filter((text) => text.startsWith("FDSTOREREMOVE="))).toEqual([]);
});

test("the pidfd of a released job is dropped", async () => {
  const service = useService();
  await service.start();
  const { jobId } = await service.workload(0);
  expect((await sandbox().run(["detach", jobId])).code).toBe(0);
  await until("it is dropped", () => service.manager.store.size === 0);
});

test("the daemon works on without its service manager", async () => {
  const service = useService();
  const watch = await service.start("--scan-interval", "100ms");
  const { jobId, end } = await service.workload(0);
  service.manager.close();
  manager = undefined;
  await until("the daemon warns", () => service.log().includes("cannot reach the service manager"));
  await end();
  expect(await sandbox().resultOf(jobId)).toMatchObject({ ending: "exited" });
  expect(watch.exitCode).toBeNull();
  expect(service.log().match(/cannot reach the service manager/g)).toHaveLength(1);
});
