import { expect, test } from "bun:test";
import { openSync, readFileSync } from "node:fs";
import {
  FFRTMP,
  lacksCommand,
  lacksLimits,
  readProc,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());
const ffmpegTest = testIf(lacksLimits() ?? lacksCommand("ffmpeg"));
const terminalTest = testIf(lacksLimits() ?? lacksCommand("script"));
const userTest = testIf(lacksLimits() ?? lacksCommand("setpriv"));

const ENCODE = [
  ...["ffmpeg", "-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30"],
  ...["-c:v", "libx264", "-threads", "1", "-f", "null", "-"],
];
const BUSY = ["sh", "-c", "while :; do :; done"];
const MIB = 1024 ** 2;

ffmpegTest(
  "an attached ffmpeg is listed with its resident memory, and its cgroup's numbers are called partial",
  async () => {
    const { pid } = sandbox().spawn(ENCODE, { stdout: "ignore", stderr: "ignore" });
    await until("ffmpeg uses 30 MiB", () => residentBytes(pid) > 30 * MIB);
    const errors = sandbox().path("attach.log");
    await attach("enc", pid, ["--cpu-quota", "150", "--memory-max", "2GiB"], errors);
    const warnings = () => readFileSync(errors, "utf8").match(/^.*memory\.max.*$/gm) ?? [];
    await until("attach has warned of the partial limit", () => warnings().length > 0);
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]).toMatch(
      /^ffrtmp: job enc runs with only part of memory\.max \(new allocations only: the \d+ MB that it had/,
    );

    const [job] = await sandbox().json(["ps"]);
    expect(job).toMatchObject({ job_id: "enc", user: "root", memory_source: "rss", process_count: 1 });
    expect(job.memory_bytes).toBe(job.memory_rss_bytes);
    // What the process had before is charged to another cgroup.
    expect(job.memory_charged_bytes).toBeLessThan(job.memory_rss_bytes);
    const ratio = job.memory_rss_bytes / residentBytes(pid);
    expect(ratio).toBeGreaterThan(0.5);
    expect(ratio).toBeLessThan(2);

    const table = await sandbox().run(["ps"]);
    expect(table.stdout).toMatch(/ [\d.]+ MiB rss {2}cpu 150 %, memory 2 GiB \(partial\) /);
    expect(table.stdout).toContain(ENCODE.join(" "));
    const text = (await sandbox().run(["inspect", "enc"])).stdout;
    expect(text).toMatch(/^memory rss +[\d.]+ MiB$/m);
    const partial = "partial: charged elsewhere before it was governed";
    expect(text).toMatch(new RegExp(`^memory peak +[\\d.]+ [KM]iB, ${partial}$`, "m"));
    expect(await sandbox().json(["inspect", "enc"])).toMatchObject({
      memory_source: "rss",
      usage: { memory_peak_partial: true, memory_peak_partial_because: partial.slice("partial: ".length) },
    });
    process.kill(pid, "SIGKILL");
    expect((await sandbox().resultOf("enc")).usage.memory_peak_partial).toBeTrue();
  },
);

limitsTest("a job of run is listed with the memory of its cgroup and the CPU that it uses", async () => {
  await sandbox().startJob("busy", [], BUSY);
  await sandbox().startJob("idle", ["--memory-max", "1G"], ["sleep", "600"]);
  const [busy, idle] = await sandbox().json(["ps"]);
  expect([busy.job_id, idle.job_id]).toEqual(["busy", "idle"]);
  for (const job of [busy, idle]) {
    expect(job).toMatchObject({ memory_source: "cgroup", outcome: null, result: null });
    expect(job.memory_bytes).toBeGreaterThan(0);
    expect(job.memory_bytes).toBeLessThanOrEqual(job.memory_charged_bytes);
  }
  expect(busy.cpu_percent).toBeGreaterThan(idle.cpu_percent);
  // A single thread, and the error of clocks that count whole ms.
  expect(busy.cpu_percent).toBeLessThan(110);
  expect(idle.cpu_percent).toBeLessThan(10);
  expect((await sandbox().json(["inspect", "idle"])).usage).toMatchObject({
    memory_peak_partial: false,
    memory_peak_partial_because: null,
  });
  expect(await ids(["--sort", "cpu"])).toEqual(["busy", "idle"]);
});

userTest("ps filters by state, tenant, user, mode, command and outcome, and sorts", async () => {
  await sandbox().startJob("zeta", [], ["sleep", "600"]);
  const { pid } = sandbox().spawn(["setpriv", "--reuid=65534", "--clear-groups", "sleep", "601"]);
  await until("the process belongs to another user", () => readProc(pid, "comm") === "sleep\n");
  await attach("alpha", pid, []);
  await sandbox().run(["run", "--job-id", "good", "--", "true"]);
  await sandbox().run(["run", "--job-id", "bad", "--", "false"]);
  sandbox().sql("UPDATE jobs SET tenant = ? WHERE job_id = ?", "acme", "zeta");

  expect(await ids([])).toEqual(["zeta", "alpha"]);
  expect(await ids(["--sort", "job"])).toEqual(["alpha", "zeta"]);
  expect(await ids(["-a"])).toEqual(["zeta", "alpha", "bad", "good"]);
  const cases: [string[], string[]][] = [
    [["mode=run"], ["zeta"]],
    [["mode=attach"], ["alpha"]],
    [["user=65534"], ["alpha"]],
    [["tenant=acme"], ["zeta"]],
    [["tenant="], ["alpha"]],
    [["command=sleep"], ["zeta", "alpha"]],
    [["command=*601"], ["alpha"]],
    [["command=sleep", "mode=run"], ["zeta"]],
    [["outcome=failed"], ["bad"]],
    [["state=ended"], ["bad", "good"]],
    [["state=starting"], []],
  ];
  for (const [filters, expected] of cases) {
    const options = filters.flatMap((filter) => ["--filter", filter]);
    expect({ filters, found: await ids(options) }).toEqual({ filters, found: expected });
  }
  const { stdout } = await sandbox().run(["ps", "-a"]);
  const rows = stdout.split("\n").map((line) => line.split(/ {2,}/).slice(0, 3));
  expect(rows).toEqual([
    ["OUTCOME", "EXIT", "JOB"],
    ["running", "-", "zeta"],
    ["running", "-", "alpha"],
    ["failed", "1", "bad"],
    ["succeeded", "0", "good"],
    [""],
  ]);
  const few = await sandbox().run(["ps", "-aq", "-n", "1"]);
  expect(few.stdout.trim().split("\n")).toEqual(["zeta", "alpha", "bad"]);
  expect(few.stderr).toMatch(
    /^ffrtmp: 1 more ended jobs are not listed\. To list more: -n, or ffrtmp history\n/,
  );
});

test("ps refuses a filter, an order or a combination that it does not know, and lists those that it does", async () => {
  const cases: [string[], RegExp][] = [
    [
      ["--filter", "status=x"],
      /there is no key "status"\. Expected: state, tenant, user, mode, command, label, outcome/,
    ],
    [["--filter", "state=done"], /"done" is none of: starting, running, ended/],
    [
      ["--filter", "user=no-such-user"],
      /is no user of \/etc\/passwd\. Expected: a name from there, or a uid/,
    ],
    [["--sort", "size"], /Allowed choices are cpu, memory, since, job, tenant, user\./],
    [["-q", "--json"], /cannot be used with option '--json'/],
  ];
  for (const [options, message] of cases) {
    const { code, stdout, stderr } = await sandbox().run(["ps", ...options]);
    expect({ options, code, stdout }).toEqual({ options, code: 2, stdout: "" });
    expect(stderr).toMatch(message);
  }
});

terminalTest(
  "a table fits the terminal by cutting the command, and is whole in a pipe and with --no-trunc",
  async () => {
    const long = `while :; do sleep 600; done # ${"x".repeat(200)} 視頻`;
    await sandbox().startJob(
      "customer-7-transcode-001",
      ["--memory-max", "2GiB", "--cpu-quota", "1.5 cores"],
      ["sh", "-c", long],
    );
    for (const columns of [60, 80, 120, 200]) {
      const lines = await inTerminal(columns, ["ps"]);
      expect(lines).toHaveLength(2);
      for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
      expect(lines[1]).toEndWith("…");
      expect(lines[1]).toStartWith("customer-7-transcode-001 ");
    }
    const [, narrow] = await inTerminal(80, ["ps"]);
    expect(narrow).toMatch(/ 2 {7}sh -c while/);
    const [, wide] = await inTerminal(200, ["ps"]);
    expect(wide).toContain(" cpu 150 %, memory 2 GiB ");
    for (const lines of [
      await inTerminal(80, ["ps", "--no-trunc"]),
      (await sandbox().run(["ps"])).stdout.trimEnd().split("\n"),
    ]) {
      expect(lines[1]).toEndWith(`sh -c ${long}`);
      expect(lines[1]).toContain(" cpu 150 %, memory 2 GiB ");
    }
  },
);

/** Returns the table that ffrtmp prints on a terminal of this width. On stderr it names jobs of other state directories, if any. */
async function inTerminal(columns: number, args: string[]): Promise<string[]> {
  const command = `stty cols ${columns}; ${[FFRTMP, ...args].join(" ")} 2>/dev/null`;
  const child = sandbox().spawn(["script", "-qec", command, "/dev/null"]);
  const text = await new Response(child.stdout as ReadableStream).text();
  return text.trimEnd().split("\r\n");
}

async function ids(options: string[]): Promise<string[]> {
  const { code, stdout } = await sandbox().run(["ps", "-q", ...options]);
  expect(code).toBe(0);
  return stdout.split("\n").filter(Boolean);
}

async function attach(jobId: string, pid: number, flags: string[], errors?: string): Promise<void> {
  const stderr = errors === undefined ? "ignore" : openSync(errors, "w");
  sandbox().start(["attach", "--pid", `${pid}`, "--job-id", jobId, ...flags], { stdout: "ignore", stderr });
  await sandbox().pidOf(jobId);
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readProc(pid, "status"))?.[1] ?? 0) * 1024;
}
