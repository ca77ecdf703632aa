import { afterAll, expect, setDefaultTimeout } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { isRunning, until } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { WatchService, type Workload } from "../support/vm/watchService.ts";

setDefaultTimeout(300_000);

const JOBS = 3;
const TRANSCODE = [
  ...["ffmpeg", "-nostdin", "-loglevel", "error", "-re"],
  ...["-f", "lavfi", "-i", "testsrc=size=32x32:rate=1", "-f", "null", "-"],
];
const service = new WatchService();
const jobs: Workload[] = [];
/** Built on the host by scripts/vm/debs.ts, because that takes minutes under emulation. */
const DEBS = resolve(import.meta.dir, "../../dist/vm");
/** The cgroups of each job before ffrtmp was installed. */
const initial: string[] = [];

// These tests depend on their order: install, upgrade, remove, purge.
if (process.env["FFRTMP_VM"] !== undefined) {
  afterAll(() => {
    for (const { unit } of jobs) Bun.spawnSync(["systemctl", "stop", unit]);
    Bun.spawnSync(["dpkg", "--purge", "ffrtmp"]);
  });
}

vmTest("installing the package starts the daemon, which governs running processes", async () => {
  for (let index = 0; index < JOBS; index++)
    jobs.push(await service.workload(`package-${index}`, "ffuser", TRANSCODE));
  initial.push(...jobs.map(cgroupOf));
  dpkg("--install", `${DEBS}/1.deb`);
  expect(await service.property("ActiveState")).toBe("active");
  expect(await service.property("UnitFileState")).toBe("enabled");
  await untilAllAreObservedBy(await service.mainPid());
});

vmTest("upgrading the package restarts the daemon, and every job stays governed", async () => {
  run("ffrtmp", "run", "-d", "--job-id", "background", "--cpu-quota", "50", "--", "sleep", "1000");
  const background = await service.json("inspect", "background");
  const before = { daemon: await service.mainPid(), groups: [...jobs.map(cgroupOf), cgroupOf(background)] };
  dpkg("--install", `${DEBS}/2.deb`);
  const daemon = await service.anotherThan(before.daemon);
  expect(readFileSync(`/proc/${daemon}/maps`, "utf8")).not.toContain("/usr/bin/ffrtmp (deleted)");
  await untilAllAreObservedBy(daemon);
  expect([...jobs.map(cgroupOf), cgroupOf(background)]).toEqual(before.groups);
  expect(await service.json("history")).toEqual([]);
  run("ffrtmp", "detach", "background");
  process.kill(background.pid, "SIGKILL");
});

vmTest("removing the package stops the daemon, and every job keeps running with its limits", async () => {
  const groups = jobs.map(cgroupOf);
  const output = dpkg("--remove", "ffrtmp");
  expect(output).toContain("these jobs keep running under their limits:");
  expect(await service.property("ActiveState")).toBe("inactive");
  for (const { pid, startTicks } of jobs) expect(isRunning(pid, startTicks)).toBe(true);
  expect(jobs.map(cgroupOf)).toEqual(groups);
});

vmTest("purging the package detaches every job, and leaves no file behind", async () => {
  dpkg("--purge", "ffrtmp");
  for (const { pid, startTicks } of jobs) expect(isRunning(pid, startTicks)).toBe(true);
  expect(jobs.map(cgroupOf)).toEqual(initial);
  for (const path of ["/var/lib/ffrtmp", "/etc/ffrtmp", "/etc/default/ffrtmp", "/usr/bin/ffrtmp"])
    expect({ path, isThere: existsSync(path) }).toEqual({ path, isThere: false });
  run("systemctl", "daemon-reload");
  expect(await service.property("LoadState")).toBe("not-found");
  expect(run("find", "/etc/systemd", "/var/lib/systemd", "-name", "*ffrtmp*")).toBe("");
});

async function untilAllAreObservedBy(daemon: number): Promise<void> {
  await until("every job is observed by the daemon", async () => {
    const rows = (await service.json("ps")) as { pid: number; observer_pid: number | null }[];
    return jobs.every(({ pid }) => rows.some((row) => row.pid === pid && row.observer_pid === daemon));
  });
  for (const { pid, startTicks } of jobs) expect(isRunning(pid, startTicks)).toBe(true);
}

function cgroupOf({ pid }: { pid: number }): string {
  return readFileSync(`/proc/${pid}/cgroup`, "utf8");
}

function dpkg(...args: string[]): string {
  return run("dpkg", "--no-triggers", ...args);
}

function run(...cmd: string[]): string {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const { exitCode, stdout, stderr } = Bun.spawnSync(cmd, { env });
  if (exitCode !== 0) throw new Error(`${cmd.join(" ")}: exit ${exitCode}: ${stderr}${stdout}`);
  return stdout.toString();
}
