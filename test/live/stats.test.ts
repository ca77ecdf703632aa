import { expect } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { PolicyBox, readLimitFile } from "../support/policyBox.ts";
import {
  eventually,
  FFRTMP,
  hierarchyOf,
  lacksCommand,
  lacksLimits,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());
const terminalTest = testIf(lacksLimits() ?? lacksCommand("script"));

/** The pressure of a job is unknown on cgroup v1 without a v2 hierarchy beside it, and with `psi=0`. */
const unified = readHierarchies(realHost()).find(({ version }) => version === 2);
const hasPressure = unified !== undefined && existsSync("/proc/pressure/cpu");

const BUSY = ["sh", "-c", "while :; do :; done"];
const ENDLESS = "while :; do :; done";

/** A line of `stats --json`. */
// biome-ignore lint/suspicious/noExplicitAny: the JSON has two shapes
type Line = any;

async function once(...args: string[]): Promise<Line[]> {
  const { code, stdout } = await sandbox().run(["stats", "--once", "--json", ...args]);
  expect(code).toBe(0);
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

limitsTest("stats reports the CPU time and the throttling that the kernel counted meanwhile", async () => {
  const { jobId } = await sandbox().startJob("busy", ["--cpu-quota", "20"], BUSY);
  await sandbox().startJob("idle", ["--cpu-quota", "20"], ["sleep", "600"]);
  const before = await counted(jobId);
  const [busy, idle] = await once();
  const after = await counted(jobId);
  expect(busy).toMatchObject({ kind: "job", job_id: "busy", tenant: null, process_count: 1, user: "root" });

  // ffrtmp measured a part of the time between the two readings here.
  const usedUsec = (busy.cpu_percent / 100) * busy.interval_seconds * 1e6;
  expect(usedUsec).toBeGreaterThan(0);
  expect(usedUsec).toBeLessThan(1.05 * (after.cpuUsec - before.cpuUsec));
  expect(usedUsec).toBeGreaterThan(0.2 * (after.cpuUsec - before.cpuUsec));
  expect(after.throttled).toBeGreaterThan(before.throttled);
  expect(busy.throttled_percent).toBeGreaterThan(0);
  expect(busy.throttled_percent).toBeLessThanOrEqual(100);
  expect(idle).toMatchObject({ job_id: "idle", throttled_percent: 0 });
  // With a v2 cgroup beside it or its own, the kernel counts its pressure: a throttled thread waits for a CPU.
  expect((busy.cpu_pressure_percent ?? 0) > 10).toBe(hasPressure);
  expect(busy).toMatchObject({ task_count: 1, oom_kills: 0, memory_anonymous_bytes: expect.any(Number) });
  expect(idle.cpu_percent).toBeLessThan(busy.cpu_percent);

  for (const name of ["idle", "id*", String(idle.pid)])
    expect((await once(name)).map(({ job_id }) => job_id)).toEqual(["idle"]);
  expect((await once("--sort", "cpu")).map(({ job_id }) => job_id)).toEqual(["busy", "idle"]);
});

limitsTest("stats reports the rates of disks that the kernel counted", async () => {
  const file = sandbox().path("data");
  const write = `while :; do dd if=/dev/zero of=${file} bs=1M count=4 oflag=direct 2>/dev/null; done`;
  const { jobId } = await sandbox().startJob("writer", [], ["sh", "-c", write]);
  const written = async () => (await sandbox().json(["inspect", jobId])).usage.io_write_bytes as number;
  const before = await written();
  const [line] = await once(jobId);
  const kernel = (await written()) - before;
  const own = line.io_write_bytes_per_second * line.interval_seconds;
  // Zero in both where the file system of the sandbox is on no disk.
  expect(own).toBeLessThanOrEqual(kernel);
  expect(own).toBeGreaterThanOrEqual(0.1 * kernel);
  expect(line.io_read_bytes_per_second).toBeGreaterThanOrEqual(0);
});

limitsTest("the jobs of a tenant add up to its total, which is throttled by its own quota", async () => {
  const box = new PolicyBox(sandbox());
  const shell = box.shell("enc");
  const name = shell.slice(shell.lastIndexOf("/") + 1);
  box.write(`
rules: [{name: encoders, match: {command: ${name}}, tenant: acme}]
tenants: {acme: {cpu_quota: 30}}
`);
  await box.start();
  const pids = [await box.run(shell, {}, ENDLESS), await box.run(shell, {}, ENDLESS)];
  for (const pid of pids) await box.governed(pid);
  await sandbox().startJob("alone", [], ["sleep", "600"]);
  const total = () =>
    /nr_throttled (\d+)/.exec(readLimitFile(pids[0] as number, "cpu", "cpu.stat", "tenant"))?.[1];
  const before = Number(total());
  await until("the kernel has throttled the tenant", () => Number(total()) > before);

  // Beside a busy machine, the two do not use up their quota in each second.
  let lines: Line[] = [];
  await until("stats has measured that the tenant was throttled", async () => {
    lines = await once();
    return lines.some(({ kind, throttled_percent }) => kind === "tenant" && throttled_percent > 0);
  });
  const jobs = lines.filter(({ kind, tenant }) => kind === "job" && tenant === "acme");
  const tenants = lines.filter(({ kind }) => kind === "tenant");
  expect(jobs).toHaveLength(2);
  expect(tenants).toMatchObject([{ tenant: "acme", job_count: 2, process_count: 2 }]);
  const [acme] = tenants;
  const sum = (key: string) => jobs.reduce((rest, job) => rest + job[key], 0);
  expect(acme.cpu_percent).toBeCloseTo(sum("cpu_percent"), 1);
  expect(acme.memory_rss_bytes).toBe(sum("memory_rss_bytes"));
  // Nothing throttles the two by themselves.
  expect(jobs.map(({ throttled_percent }) => throttled_percent)).toEqual([0, 0]);

  const { stdout } = await sandbox().run(["stats"]);
  expect(stdout).toMatch(/\n\nTENANT +JOBS +CPU % +MEMORY +THROTTLED +READ +WRITTEN +PROCS\nacme +2 /);
  // A tenant's total is of all its jobs.
  expect((await once("alone")).map(({ kind }) => kind)).toEqual(["job"]);
});

limitsTest(
  "in a pipe stats prints one table, and with an interval it continues until its reader ends",
  async () => {
    await sandbox().startJob("idle", [], ["sleep", "600"]);
    const { code, stdout } = await sandbox().run(["stats"]);
    expect({ code, lines: stdout.split("\n").length }).toEqual({ code: 0, lines: 3 });
    expect(stdout).toMatch(
      /^JOB +TENANT +CPU % +MEMORY +THROTTLED +READ +WRITTEN +PROCS +CPU WAIT +MEM WAIT +IO WAIT +SPEED +DONE +LEFT +SURE +NEED +SENT +RECEIVED +BACKLOG +HELD BACK BY +COMMAND\nidle +- /,
    );

    const command = `"${FFRTMP}" stats --interval 100ms | head -n 7; "${FFRTMP}" stats --json --interval 100ms | head -n 2`;
    const child = sandbox().spawn(["bash", "-o", "pipefail", "-c", command]);
    const lines = (await new Response(child.stdout as ReadableStream).text()).trimEnd().split("\n");
    expect(lines.map((line) => line.slice(0, 4))).toEqual([
      ...["JOB ", "idle", "", "JOB ", "idle", "", "JOB "],
      ...['{"ti', '{"ti'],
    ]);
    expect(await child.exited).toBe(0);
  },
);

limitsTest(
  "stats of named jobs ends when they have ended, and refuses those that it does not find",
  async () => {
    const { wrapper } = await sandbox().startJob("short", [], ["sh", "-c", "read line"], { stdin: "pipe" });
    const child = sandbox().start(["stats", "short", "--json", "--interval", "100ms"]);
    const reader = (child.stdout as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    (wrapper.stdin as { end(): void }).end();
    while (!(await reader.read()).done);
    expect(await child.exited).toBe(0);

    const cases: [string[], RegExp][] = [
      [["short"], /job short has already ended/],
      [["none"], /there is no job none/],
      [["--interval", "5ms"], /It is too short\. Expected: a time from 100ms to 24h/],
      [["--interval", "25h"], /It is too long\. Expected: a time from 100ms to 24h/],
    ];
    for (const [args, message] of cases) {
      const refused = await sandbox().run(["stats", ...args]);
      expect({ args, code: refused.code }).toEqual({ args, code: 2 });
      expect(refused.stderr).toMatch(message);
    }
  },
);

terminalTest("stats refreshes on a terminal, fits it, and leaves it as it was after Ctrl-C", async () => {
  await sandbox().startJob("transcode-001", ["--cpu-quota", "20"], [...BUSY, "x".repeat(100)]);
  for (let job = 0; job < 6; job++) await sandbox().startJob(`idle-${job}`, [], ["sleep", "600"]);
  const [before, after] = ["before", "after"].map((name) => sandbox().path(name)) as [string, string];
  const output = sandbox().path("screen");
  const command = [
    "trap : INT",
    "stty cols 72 rows 6",
    `stty -a >${before}`,
    `"${FFRTMP}" stats --interval 100ms`,
    "echo code $?",
    `stty -a >${after}`,
  ].join("; ");
  const terminal = sandbox().spawn(["script", "-qefc", command, output], { stdin: "pipe", stdout: "ignore" });
  const screen = () => readFileSync(output, "utf8");
  writeFileSync(output, "");
  const up = "\u001b[5A";
  await until("there are three tables", () => screen().split(up).length > 3);
  (terminal.stdin as { write(text: string): void; flush(): void }).write("\u0003");
  (terminal.stdin as { write(text: string): void; flush(): void }).flush();
  await eventually("stats has ended", () => /code (\d+)/.exec(screen())?.[1]);
  await terminal.exited;
  expect(screen()).toContain("code 130");
  expect(readFileSync(after, "utf8")).toBe(readFileSync(before, "utf8"));
  // No other screen, and no mode of the terminal.
  expect(screen()).not.toContain("\u001b[?");
  const [, table = ""] = screen().split(up);
  const lines = table.replace("\u001b[J", "").split("\r\n").slice(0, 5);
  expect(lines[0]).toMatch(/^JOB +CPU % +MEMORY +THROTTLED/);
  expect(lines[1]).toMatch(/^transcode-001 /);
  expect(lines[4]).toBe("… and 4 more");
  for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(72);
});

/** Reads what the kernel has counted for a job. */
async function counted(jobId: string): Promise<{ cpuUsec: number; throttled: number }> {
  const read = async (controller: string, file: string, pattern: RegExp) => {
    const text = readFileSync(`${await sandbox().cgroupOf(jobId, controller)}/${file}`, "utf8");
    return Number(pattern.exec(text)?.[1]);
  };
  const throttled = await read("cpu", "cpu.stat", /nr_throttled (\d+)/);
  if (hierarchyOf("cpu").version === 2)
    return { cpuUsec: await read("cpu", "cpu.stat", /usage_usec (\d+)/), throttled };
  return { cpuUsec: (await read("cpuacct", "cpuacct.usage", /(\d+)/)) / 1000, throttled };
}

limitsTest("with --machine, each interval ends with a line for the machine", async () => {
  await sandbox().startJob("idle", [], ["sleep", "600"]);
  const lines = await once("--machine");
  expect(lines.map(({ kind }) => kind)).toEqual(["job", "machine"]);
  expect(lines[1]).toMatchObject({
    job_count: 1,
    cpu_busy_percent: expect.any(Number),
    memory_total_bytes: expect.any(Number),
  });
  const { code, stderr } = await sandbox().run(["stats", "--machine"]);
  expect([code, stderr]).toEqual([
    2,
    expect.stringContaining("--machine adds a line to the output of --json"),
  ]);
});
