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
  (groupsOfTheSystem().length > 0 ? `ffrtmp governs jobs of this machine's own in ${STATE}` : undefined);
const debTest = testIf(lacks);

let system: InstalledSystem;
/** What was started, with the file that ends it. */
const started: { pid: number; startTicks: number; gate: string }[] = [];
let nextDeb = "";

if (lacks === undefined) {
  setDefaultTimeout(120_000);
  beforeAll(() => {
    nextDeb = uncompressedDeb("2");
  });
  beforeEach(async () => {
    system = await InstalledSystem.begin();
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

debTest("installs the executable, manuals, completions and a policy that may be changed", async () => {
  expect(system.must("ffrtmp --version").trim()).toBe(versionOf("package.json"));
  for (const shell of ["bash-completion/completions/ffrtmp", "zsh/vendor-completions/_ffrtmp"])
    system.must('test -s "/usr/share/$1"', shell);
  // Where docs/policy.md sends editors.
  system.must("test -s /usr/share/ffrtmp/policy.schema.json");
  expect(system.must("ffrtmp policy check")).toContain("/etc/ffrtmp/policy.yaml is valid");
  expect(system.must("MANPAGER=cat man ffrtmp-run")).toContain("--cpu-quota");
  system.must("echo '# ours' >>/etc/ffrtmp/policy.yaml");
  system.dpkg("--install", nextDeb);
  expect(system.must("tail -n 1 /etc/ffrtmp/policy.yaml")).toBe("# ours\n");
  expect(system.must("dpkg --verify ffrtmp")).toContain("/etc/ffrtmp/policy.yaml");
});

debTest(
  "upgrades while jobs run: they go on, governed as before, and their true ends are on record",
  async () => {
    system = await InstalledSystem.begin();
    system.dpkg("--install", firstDeb());
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
    await until("the end is on record", () => inspect("upgraded").state === "ended");
    expect(inspect("upgraded").result).toMatchObject({ exit_code: 7, exit_evidence: "parent" });
  },
);

debTest(
  "removed while jobs run: they go on with their limits, and the ends that are seen are on record",
  async () => {
    system = await InstalledSystem.begin();
    system.dpkg("--install", firstDeb());
    const own = startJob("kept");
    const before = limitsOf(own);
    const told = system.dpkg("--remove", "ffrtmp");
    expect(told).toContain("these jobs keep running under their limits: kept");
    expect(system.run("command -v ffrtmp").code).not.toBe(0);
    expect(isRunning(own)).toBe(true);
    expect(limitsOf(own)).toEqual(before);

    endJob(own);
    system.dpkg("--install", nextDeb);
    await until("the end is on record", () => inspect("kept").state === "ended");
    expect(inspect("kept").result).toMatchObject({ exit_code: 7, exit_evidence: "parent" });
    expect(system.run(`test -e ${STATE}/uninstall`).code).toBe(1);
  },
);

debTest("purged while jobs run: they go on, released, and nothing of ours stays", async () => {
  const foreign = startForeign();
  const atFirst = cgroupsOf(foreign);
  attach(foreign, "foreign");
  const own = startJob("own");
  const observer = inspect("own").observer_pid as number;
  expect(cgroupsOf(foreign)).not.toBe(atFirst);

  const told = system.dpkg("--purge", "ffrtmp");
  expect(told).toContain("these jobs keep running under their limits: foreign own");
  expect(told).toContain("job foreign is detached");
  expect(told).toContain("job own is detached");
  expect([own, foreign].map((pid) => isRunning(pid))).toEqual([true, true]);
  expect(cgroupsOf(foreign)).toBe(atFirst);
  expect(cgroupsOf(own)).not.toContain(GROUPS);
  expect(groupsOfTheSystem()).toEqual([]);
  // The observer of a background job outlives the package, and must not make anew what the purge has removed.
  endJob(own);
  await until("the observer has ended", () => !isRunning(observer));
  expect(system.changes()).toEqual([]);
});

debTest("a purge names what it could not release", async () => {
  const own = startJob("late");
  system.dpkg("--remove", "ffrtmp");
  system.must(`rm -r ${STATE}/uninstall`);
  const told = system.dpkg("--purge", "ffrtmp");
  expect(told).toMatch(new RegExp(`these processes keep running in /\\S*${GROUPS}late, .*\\b${own}\\b`));
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
  remember(pid, gate);
  return pid;
}

function startForeign(): number {
  const gate = `/tmp/gate-foreign-${started.length}`;
  const pid = Number(system.must(START_FOREIGN, gate));
  remember(pid, gate);
  return pid;
}

function remember(pid: number, gate: string): void {
  const stat = readStat(realHost(), pid);
  if (stat === "gone") throw new Error(`the workload of ${gate} has ended at once`);
  started.push({ pid, startTicks: stat.startTicks, gate });
}

function attach(pid: number, jobId: string): void {
  // Observed until the job is on record, and then by nobody: what a daemon that is being replaced leaves.
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

// biome-ignore lint/suspicious/noExplicitAny: tests look into JSON of many shapes
function inspect(jobId: string): any {
  return JSON.parse(system.must('ffrtmp inspect "$1" --json', jobId));
}

function openJobs(): string[] {
  const jobs = JSON.parse(system.must("ffrtmp ps --json")) as { job_id: string }[];
  return jobs.map((job) => job.job_id).sort();
}

/** Where a process is, and what the kernel holds it to there. */
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
    // Still in use: the caller tries again.
  }
  return !existsSync(path);
}

function versionOf(manifest: string): string {
  return JSON.parse(readFileSync(`${import.meta.dir}/../../${manifest}`, "utf8")).version;
}
