import { afterAll, afterEach, beforeAll, beforeEach, expect, setDefaultTimeout } from "bun:test";
import { existsSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { locateState } from "../../src/ledger/location.ts";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { readStat } from "../../src/linux/proc/stat.ts";
import { lacksReleaseTools, releasedFile, uncompressedDeb } from "../support/packaging/builtRelease.ts";
import { InstalledSystem, lacksInstalledSystem } from "../support/packaging/installedSystem.ts";
import { findDirectories, isRunning, lacksLimits, testIf, until } from "../support/sandbox.ts";

const STATE = "/var/lib/ffrtmp";
const GROUPS = `ffrtmp-${locateState(STATE, {}).tag}-`;
const LOOP = 'until [ -e "$1" ]; do sleep 0.05; done; exit 7';
const START_FOREIGN = `sh -c '${LOOP}' sh "$1" </dev/null >/dev/null 2>&1 & echo $!`;

const lacks =
  lacksReleaseTools() ??
  lacksInstalledSystem() ??
  lacksLimits() ??
  (groupsOfTheSystem().length > 0 ? `ffrtmp governs jobs of this machine in ${STATE}` : undefined);
const debTest = testIf(lacks);

let system: InstalledSystem;
/** The started workloads, each with the file that ends it. */
const started: { pid: number; startTicks: number; gate: string }[] = [];
let nextDeb = "";

if (lacks === undefined) {
  setDefaultTimeout(300_000);
  beforeAll(() => {
    nextDeb = uncompressedDeb("2");
  });
  beforeEach(async () => {
    system = await InstalledSystem.open();
    system.dpkg("--install", firstDeb());
  });
  afterEach(async () => {
    for (const { pid, startTicks } of started.splice(0))
      if (isRunning(pid, startTicks)) process.kill(pid, "SIGKILL");
    for (const path of groupsOfTheSystem().reverse()) await until(`${path} is empty`, () => removed(path));
    await system.close();
  });
  afterAll(() => rmSync(dirname(nextDeb), { recursive: true }));
}

debTest(
  "the package installs the executable, manuals, completions and a policy that can be edited",
  async () => {
    expect(system.must("ffrtmp --version").trim()).toBe(versionOf("package.json"));
    for (const shell of ["bash-completion/completions/ffrtmp", "zsh/vendor-completions/_ffrtmp"])
      system.must('test -s "/usr/share/$1"', shell);
    // docs/policy.md refers editors to this path.
    system.must("test -s /usr/share/ffrtmp/policy.schema.json");
    system.must("test -s /usr/share/ffrtmp/dashboard.json");
    expect(system.must("ffrtmp policy check")).toContain("/etc/ffrtmp/policy.yaml is valid");
    expect(system.must("MANPAGER=cat man ffrtmp-run")).toContain("--cpu-quota");
    system.must("echo '# edited' >>/etc/ffrtmp/policy.yaml");
    system.dpkg("--install", nextDeb);
    expect(system.must("tail -n 1 /etc/ffrtmp/policy.yaml")).toBe("# edited\n");
    expect(system.must("dpkg --verify ffrtmp")).toContain("/etc/ffrtmp/policy.yaml");
  },
);

debTest("jobs keep running governed during an upgrade, and their exit codes are recorded", async () => {
  const own = startJob("upgraded");
  const foreign = attachTo("attached");
  const before = [limitsOf(own), limitsOf(foreign)];
  expect(before[0]?.groups).toContain(`${GROUPS}upgraded`);
  expect(before[1]?.groups).toContain(`${GROUPS}attached`);

  system.dpkg("--install", nextDeb);
  expect(system.must("dpkg-query --show ffrtmp")).toContain("-2\n");
  expect([own, foreign].map((pid) => isRunning(pid))).toEqual([true, true]);
  expect([limitsOf(own), limitsOf(foreign)]).toEqual(before);
  expect(openJobs()).toEqual(["attached", "upgraded"]);

  endJob(own);
  await until("the end is recorded", () => inspect("upgraded").state === "ended");
  expect(inspect("upgraded").result).toMatchObject({ exit_code: 7, exit_evidence: "parent" });
});

debTest(
  "jobs keep running with their limits when the package is removed, and observed ends are recorded",
  async () => {
    const own = startJob("kept");
    const before = limitsOf(own);
    const output = system.dpkg("--remove", "ffrtmp");
    expect(output).toContain("these jobs keep running under their limits: kept");
    expect(system.run("command -v ffrtmp").code).not.toBe(0);
    expect(isRunning(own)).toBe(true);
    expect(limitsOf(own)).toEqual(before);

    endJob(own);
    system.dpkg("--install", nextDeb);
    await until("the end is recorded", () => inspect("kept").state === "ended");
    expect(inspect("kept").result).toMatchObject({ exit_code: 7, exit_evidence: "parent" });
    expect(system.run(`test -e ${STATE}/uninstall`).code).toBe(1);
  },
);

debTest("jobs keep running detached when the package is purged, and no file of ffrtmp stays", async () => {
  const foreign = startForeign();
  const initial = cgroupsOf(foreign);
  attach(foreign, "foreign");
  const own = startJob("own");
  const observer = inspect("own").observer_pid as number;
  expect(cgroupsOf(foreign)).not.toBe(initial);

  const output = system.dpkg("--purge", "ffrtmp");
  expect(output).toContain("these jobs keep running under their limits: foreign own");
  expect(output).toContain("job foreign is detached");
  expect(output).toContain("job own is detached");
  expect([own, foreign].map((pid) => isRunning(pid))).toEqual([true, true]);
  expect(cgroupsOf(foreign)).toBe(initial);
  expect(cgroupsOf(own)).not.toContain(GROUPS);
  expect(groupsOfTheSystem()).toEqual([]);
  // The observer of a background job outlives the package, and must not create the purged files again.
  endJob(own);
  await until("the observer has ended", () => !isRunning(observer));
  expect(system.changes()).toEqual([]);
});

debTest("purging the package reports the processes that it could not detach", async () => {
  const own = startJob("late");
  system.dpkg("--remove", "ffrtmp");
  system.must(`rm -r ${STATE}/uninstall`);
  const output = system.dpkg("--purge", "ffrtmp");
  expect(output).toMatch(new RegExp(`these processes keep running in /\\S*${GROUPS}late, .*\\b${own}\\b`));
  expect(isRunning(own)).toBe(true);
  expect(system.run(`test -e ${STATE}`).code).toBe(1);
});

function firstDeb(): string {
  return releasedFile("_amd64.deb");
}

function startJob(jobId: string): number {
  const gate = `/tmp/gate-${jobId}`;
  system.must(
    `ffrtmp run -d --job-id "$1" --cpu-quota 50 --memory-max 256M -- sh -c '${LOOP}' sh "$2" </dev/null`,
    jobId,
    gate,
  );
  const pid = inspect(jobId).pid as number;
  addStarted(pid, gate);
  return pid;
}

function startForeign(): number {
  const gate = `/tmp/gate-foreign-${started.length}`;
  const pid = Number(system.must(START_FOREIGN, gate));
  addStarted(pid, gate);
  return pid;
}

function addStarted(pid: number, gate: string): void {
  const stat = readStat(realHost(), pid);
  if (stat === "gone") throw new Error(`the workload of ${gate} ended at once`);
  started.push({ pid, startTicks: stat.startTicks, gate });
}

function attach(pid: number, jobId: string): void {
  // The observer is killed once the job is recorded, as when a daemon is being replaced.
  system.must(
    `ffrtmp attach --pid "$1" --job-id "$2" --cpu-quota 30 </dev/null >/dev/null 2>&1 & observer=$!
      for try in $(seq 200); do
        ffrtmp inspect "$2" --json 2>/dev/null | grep -q '"state": "running"' && break
        sleep 0.05
      done
      kill -KILL $observer`,
    String(pid),
    jobId,
  );
}

function attachTo(jobId: string): number {
  const pid = startForeign();
  attach(pid, jobId);
  return pid;
}

function endJob(pid: number): void {
  system.must('touch "$1"', started.find((each) => each.pid === pid)?.gate as string);
}

// biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
function inspect(jobId: string): any {
  return JSON.parse(system.must('ffrtmp inspect "$1" --json', jobId));
}

function openJobs(): string[] {
  // The messages may name jobs of other state directories of the machine.
  const jobs = JSON.parse(system.must("ffrtmp ps --json 2>/dev/null")) as { job_id: string }[];
  return jobs.map((job) => job.job_id).sort();
}

/** Reads the cgroups of a process and the limits of its job's cgroups. */
function limitsOf(pid: number): { groups: string; quota: string } {
  const groups = cgroupsOf(pid);
  const quota = groupsOfTheSystem()
    .filter((path) => groups.includes(path.slice(path.indexOf(GROUPS))))
    .flatMap((path) =>
      ["cpu.max", "cpu.cfs_quota_us", "memory.limit_in_bytes"].map((file) => `${path}/${file}`),
    )
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, "utf8"))
    .join();
  return { groups, quota };
}

function cgroupsOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cgroup`, "utf8");
}

function groupsOfTheSystem(): string[] {
  return readHierarchies(realHost()).flatMap(({ mountPoint }) => findDirectories(mountPoint, GROUPS));
}

function removed(path: string): boolean {
  try {
    rmdirSync(path);
  } catch {
    // The cgroup is still in use, and the caller tries again.
  }
  return !existsSync(path);
}

function versionOf(manifest: string): string {
  return JSON.parse(readFileSync(`${import.meta.dir}/../../${manifest}`, "utf8")).version;
}
