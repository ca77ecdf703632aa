import { afterAll, beforeAll, expect, setDefaultTimeout } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { pidfdsReportExitCodes } from "../../src/linux/events/bestEvents.ts";
import { handlesSignals } from "../support/processes.ts";
import { eventually, isRunning, until } from "../support/sandbox.ts";
import { pidfdsKeepRecords, vmTest } from "../support/vm/insideVm.ts";
import { statusField, WatchService, type Workload } from "../support/vm/watchService.ts";

const isMachine = process.env["FFRTMP_VM"] !== undefined;
setDefaultTimeout(300_000);

const JOBS = 20;
const CAP_KILL = 5n;
const CAP_SETUID = 7n;
const CAP_SYS_ADMIN = 21n;
const CAP_PERFMON = 38n;
const CAP_BPF = 39n;
const CAP_SYS_PTRACE = 19n;

/** The fields of a line of `ps --json` that the tests read. */
interface Row {
  job_id: string;
  pid: number;
  observer_pid: number | null;
  cgroups: string[];
  limits: unknown[];
}

const service = new WatchService();
const jobs: Workload[] = [];

/** An endless transcode that is small enough to run twenty of on an emulated processor. */
const TRANSCODE = [
  ...["ffmpeg", "-nostdin", "-loglevel", "error", "-re"],
  ...["-f", "lavfi", "-i", "testsrc=size=32x32:rate=1", "-f", "null", "-"],
];

const FLAGS = "--cpu-quota 50 --nice 5 --oom-score-adj -100 --scan-interval 1s";
const APPLIED = [
  { limit: "cpu.max", outcome: "applied", actual: "50000 100000" },
  { limit: "nice", outcome: "applied", actual: "5" },
  { limit: "oom_score_adj", outcome: "applied", actual: "-100" },
];

beforeAll(async () => {
  if (!isMachine) return;
  await service.install(FLAGS);
  // Long enough for the tests that need the daemon to be down. Set once for all tests, because each reload of
  // systemd undoes limits, and the daemon restores them only a few times.
  await service.setting("RestartSec", "20");
});
afterAll(async () => {
  if (isMachine) await service.remove();
});

/** At SIGINT ffmpeg exits with 255, but only after it has installed its handler: late, where it is emulated. */
const untilHandlesInterrupt = ({ pid }: Workload) =>
  until("ffmpeg handles SIGINT", () => handlesSignals(pid, "SIGINT"));

const jobIdOf = ({ pid }: Workload) => `auto-ffmpeg-${pid}`;

/** Checks all jobs with one command, because each start of the executable is slow under emulation. */
async function expectAllGoverned(watch: number): Promise<void> {
  for (const { pid, startTicks } of jobs) expect(isRunning(pid, startTicks)).toBe(true);
  const rows = await eventually("every job is observed by the daemon", async () => {
    const all: Row[] = await service.json("ps");
    // A job is recorded before its limits.
    const observed = all.filter(({ observer_pid, limits }) => observer_pid === watch && limits.length > 0);
    return observed.length === jobs.length ? observed : undefined;
  });
  expect(rows.map(({ job_id }) => job_id).sort()).toEqual(jobs.map(jobIdOf).sort());
  for (const { pid, cgroups, limits } of rows) {
    // Each job is alone in its service and governed in the service's own cgroup.
    const path = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice("0::".length);
    expect(cgroups).toEqual([`/sys/fs/cgroup${path}`]);
    expect(limits).toMatchObject(APPLIED);
  }
  const ended: Row[] = await service.json("history");
  expect(ended.filter(({ pid }) => jobs.some((job) => job.pid === pid))).toEqual([]);
  expect(Number(await service.property("NFileDescriptorStore"))).toBe(jobs.length);
}

vmTest("the service starts inside its sandbox, and can neither send signals nor trace", async () => {
  await service.systemctl("start");
  const pid = await service.mainPid();
  expect(await service.property("ActiveState")).toBe("active");
  // A workload of another test can still be ending.
  await until("the status counts no job", async () =>
    (await service.property("StatusText")).startsWith("Governing 0 jobs; events: connector, dropped: 0"),
  );
  expect(statusField(pid, "NoNewPrivs")).toBe("1");
  expect(statusField(pid, "Seccomp")).toBe("2");
  const capabilities = BigInt(`0x${statusField(pid, "CapEff")}`);
  for (const capability of [CAP_KILL, CAP_SYS_PTRACE]) expect((capabilities >> capability) & 1n).toBe(0n);
  expect(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8").trim()).toBe("-900");
  const journal = await service.journal();
  expect(journal).toContain("ledger: /var/lib/ffrtmp/ledger.db");
  expect(journal).not.toMatch(/cannot give up|ffrtmp: /);
});

vmTest("the service starts with the drop-ins of the package, whose rights only the meter keeps", async () => {
  const has = (pid: number, capability: bigint) =>
    ((BigInt(`0x${statusField(pid, "CapEff")}`) >> capability) & 1n) === 1n;
  for (const names of [["exec-filter.conf"], ["metering.conf"], ["exec-filter.conf", "metering.conf"]]) {
    await service.activate(...names);
    await service.systemctl("restart");
    const pid = await service.mainPid();
    for (const capability of [CAP_SETUID, CAP_SYS_ADMIN, CAP_BPF, CAP_PERFMON, CAP_KILL])
      expect({ names, capability, has: has(pid, capability) }).toEqual({ names, capability, has: false });
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
    const [meter] = children.filter((each) =>
      readFileSync(`/proc/${each}/cmdline`, "utf8").includes("meter"),
    );
    if (meter === undefined) throw new Error("there is no meter");
    const isWide = names.includes("metering.conf");
    for (const capability of [CAP_SETUID, CAP_SYS_ADMIN])
      expect({ names, capability, has: has(meter, capability) }).toEqual({ names, capability, has: isWide });
    for (const capability of [CAP_BPF, CAP_PERFMON, CAP_KILL])
      expect({ names, capability, has: has(meter, capability) }).toEqual({ names, capability, has: false });
    expect(await service.journal()).not.toMatch(/cannot give up|ffrtmp: /);
    await service.deactivate(...names);
  }
  await service.systemctl("restart");
});

vmTest(
  `${JOBS} transcodes of two users are found and governed, and systemd stores their pidfds`,
  async () => {
    for (let index = 0; index < JOBS; index++)
      jobs.push(await service.workload(`job-${index}`, index % 2 === 0 ? "root" : "ffuser", TRANSCODE));
    await expectAllGoverned(await service.mainPid());
    await until("the status counts the jobs", async () =>
      (await service.property("StatusText")).startsWith(`Governing ${JOBS} jobs;`),
    );
  },
);

vmTest("systemctl restart leaves every job running and governed", async () => {
  const before = await service.mainPid();
  await service.systemctl("restart");
  await expectAllGoverned(await service.anotherThan(before));
});

vmTest("SIGKILL of the daemon leaves every job running, and the next one governs them", async () => {
  const before = await service.mainPid();
  process.kill(before, "SIGKILL");
  await expectAllGoverned(await service.anotherThan(before));
});

vmTest("an upgrade of the executable leaves every job running and governed", async () => {
  const before = await service.mainPid();
  service.replaceExecutable();
  await service.systemctl("restart");
  const after = await service.anotherThan(before);
  expect(readFileSync(`/proc/${after}/maps`, "utf8")).not.toContain("/usr/bin/ffrtmp (deleted)");
  await expectAllGoverned(after);
});

vmTest("a daemon that hangs is replaced, and every job keeps running", async () => {
  await service.setting("WatchdogSec", "30");
  await service.systemctl("restart");
  const before = await service.mainPid();
  await expectAllGoverned(before);
  process.kill(before, "SIGSTOP");
  await expectAllGoverned(await service.anotherThan(before));
  expect(await service.journal()).toContain("Watchdog timeout");
  await service.setting("WatchdogSec", "180");
});

vmTest(
  "a job that ends while the daemon is down is recorded, with its exit code from Linux 6.15 on",
  async () => {
    expect(await pidfdsReportExitCodes()).toBe(pidfdsKeepRecords);
    const [first, second] = jobs.splice(0, 2) as [Workload, Workload];
    await untilHandlesInterrupt(first);
    const before = await service.mainPid();
    process.kill(before, "SIGKILL");
    await until(
      "systemd waits for the restart",
      async () => (await service.property("SubState")) === "auto-restart",
    );
    process.kill(first.pid, "SIGINT");
    process.kill(second.pid, "SIGKILL");
    for (const { pid } of [first, second])
      await until("the process is gone", () => !existsSync(`/proc/${pid}`));
    expect(await service.mainPid()).toBe(0);
    const after = await service.anotherThan(before);
    const results = [await service.resultOf(jobIdOf(first)), await service.resultOf(jobIdOf(second))];
    const unknown = {
      ...{ ending: "unobserved", exit_code: null, signal: null, exit_evidence: null },
      exit_unknown_because: expect.stringContaining("pidfds of this kernel keep no exit record"),
    };
    expect(results).toMatchObject(
      pidfdsKeepRecords
        ? [
            { ending: "exited", exit_code: 255, signal: null, exit_evidence: "pidfd" },
            { ending: "exited", exit_code: null, signal: "SIGKILL", exit_evidence: "pidfd" },
          ]
        : [unknown, unknown],
    );
    await until(
      "systemd has dropped their pidfds",
      async () => Number(await service.property("NFileDescriptorStore")) === jobs.length,
    );
    expect(await service.mainPid()).toBe(after);
  },
);

vmTest(
  "a job that ends under the daemon is recorded with its exit code, and systemd drops its pidfd",
  async () => {
    const [job] = jobs.splice(0, 1) as [Workload];
    await untilHandlesInterrupt(job);
    process.kill(job.pid, "SIGINT");
    expect(await service.resultOf(jobIdOf(job))).toMatchObject({ ending: "exited", exit_code: 255 });
    await until(
      "systemd has dropped its pidfd",
      async () => Number(await service.property("NFileDescriptorStore")) === jobs.length,
    );
  },
);

vmTest(
  "systemctl stop leaves every job running under its limits, and a later start governs them again",
  async () => {
    await service.systemctl("stop");
    for (const { pid, startTicks } of jobs) expect(isRunning(pid, startTicks)).toBe(true);
    expect(await service.property("Result")).toBe("success");
    await service.systemctl("start");
    const watch = await service.mainPid();
    await expectAllGoverned(watch);
  },
);

vmTest("a transcode below a user's own service manager is governed there too", async () => {
  const pid = await service.delegatedWorkload("delegated", "ffuser", TRANSCODE);
  await until("the transcode is governed", async () =>
    ((await service.json("ps")) as { pid: number }[]).some((row) => row.pid === pid),
  );
  const path = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice("0::".length);
  expect(path).toContain("/user@1000.service/");
  const { cgroups, limits } = await service.json("inspect", `auto-ffmpeg-${pid}`);
  expect(cgroups).toEqual([`/sys/fs/cgroup${path}`]);
  expect(limits).toMatchObject(APPLIED);
  process.kill(pid, "SIGKILL");
  expect(await service.resultOf(`auto-ffmpeg-${pid}`)).toMatchObject({ signal: "SIGKILL" });
});

vmTest("the service of the package uses its policy file, and systemctl reload reads it again", async () => {
  service.installPolicy();
  await service.systemctl("restart");
  expect(await service.property("ActiveState")).toBe("active");
  const before = await service.mainPid();
  expect(await service.journal()).toContain("/etc/ffrtmp/policy.yaml");
  const reloads = (await service.journal()).split("(SIGHUP)").length;
  await service.systemctl("reload");
  await until(
    "the policy has been read again",
    async () => (await service.journal()).split("(SIGHUP)").length > reloads,
  );
  await until("the reload has finished", async () => (await service.property("ActiveState")) === "active");
  expect(await service.mainPid()).toBe(before);
});
