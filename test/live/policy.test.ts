import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { parseDryRun } from "../support/dryRun.ts";
import {
  groupOf,
  isGoverned,
  PolicyBox,
  readLimitFile,
  type StartOptions,
  TestUser,
  tenantGroupOf,
} from "../support/policyBox.ts";
import {
  FFRTMP,
  isRunning,
  lacksCommand,
  lacksLimits,
  readProc,
  testIf,
  until,
  useSandbox,
  withoutForeignJobs,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits() ?? lacksCommand("setpriv"));
const tenantTest = testIf(lacksLimits() ?? lacksCommand("ffmpeg") ?? lacksCommand("useradd"));

const straceTest = testIf(lacksLimits() ?? lacksCommand("strace"));

const MIB = 1024 ** 2;

/** Leaves out of a job what it uses at the moment, which changes all the time. */
function withoutPresentUse({
  cpu_percent: _cpu,
  memory_bytes: _memory,
  memory_charged_bytes: _charged,
  memory_rss_bytes: _rss,
  process_count: _processes,
  ...recorded
}: Record<string, unknown>): Record<string, unknown> {
  return recorded;
}

tenantTest(
  "ten processes of two users and three tenants are governed as the policy says, and a reload changes half of them",
  async () => {
    const box = new PolicyBox(sandbox());
    using alice = new TestUser("a");
    using bob = new TestUser("b");
    const [encoder, quiet, batch] = ["enc", "quiet", "batch"].map((word) => box.shell(word)) as [
      string,
      string,
      string,
    ];
    const ffmpeg = sandbox().program("ffmpeg");
    const policy = `
scan_interval: 500ms
target_commands: [${basename(batch)}]
default_limits: {cpu_quota: 80}
rules:
  - name: hands-off
    match: {command: ${basename(quiet)}}
    ignore: true
  - name: acme
    match: {command: ${basename(encoder)}, user: ${alice.name}}
    tenant: acme
    limits: {cpu_quota: 60, memory_max: 256MiB}
    labels: {tier: gold}
    intent: live
  - name: by-user
    match: {command: ${basename(encoder)}}
    tenant: "{user}"
    limits: {cpu_quota: 30}
  - name: transcodes
    match: {command: ${ffmpeg.name}}
    tenant: zeta
    limits: {cpu_weight: 50, cpu_quota: 1.5 cores}
tenants:
  acme: {cpu_quota: 100, pids_max: 100}
  zeta: {memory_limit: 500MiB, pids_max: 200}
`;
    box.write(policy);
    await box.start();
    const transcode = async (): Promise<number> => {
      const input = ["-f", "lavfi", "-i", "testsrc=size=64x36:rate=5", "-f", "null", "-"];
      return sandbox().spawn([ffmpeg.path, "-nostdin", "-re", "-loglevel", "error", ...input]).pid;
    };
    const pids = {
      acme: [await box.run(encoder, alice), await box.run(encoder, alice), await box.run(encoder, alice)],
      bob: [await box.run(encoder, bob), await box.run(encoder, bob)],
      quiet: [await box.run(quiet, alice)],
      batch: [await box.run(batch, bob), await box.run(batch)],
      zeta: [await transcode(), await transcode()],
    };
    for (const pid of [...pids.acme, ...pids.bob, ...pids.batch, ...pids.zeta]) await box.governed(pid);
    expect(pids.quiet.some(isGoverned)).toBeFalse();

    for (const pid of pids.acme) {
      const job = await box.jobOf(pid);
      expect(job).toMatchObject({ tenant: "acme", labels: { tier: "gold" }, intent: "live" });
      expect(job.limits).toMatchObject([
        { limit: "cpu.max", outcome: "applied", actual: "60000 100000" },
        { limit: "memory.max", outcome: "partial", actual: String(256 * MIB) },
        { limit: "cpu.max", of: "tenant", outcome: "applied", actual: "100000 100000" },
        { limit: "pids.max", of: "tenant", outcome: "applied", actual: "100" },
      ]);
      expect(readLimitFile(pid, "cpu", "cpu.cfs_quota_us")).toBe("60000");
      expect(readLimitFile(pid, "memory", "memory.limit_in_bytes")).toBe(String(256 * MIB));
      expect(readLimitFile(pid, "cpu", "cpu.cfs_quota_us", "tenant")).toBe("100000");
      expect(readLimitFile(pid, "pids", "pids.max", "tenant")).toBe("100");
    }
    expect(new Set(pids.acme.map(tenantGroupOf)).size).toBe(1);
    for (const pid of pids.bob) {
      expect(await box.jobOf(pid)).toMatchObject({ tenant: bob.name });
      expect(readLimitFile(pid, "cpu", "cpu.cfs_quota_us")).toBe("30000");
      expect(tenantGroupOf(pid)).toEndWith(`-@${bob.name}`);
    }
    for (const pid of pids.batch) {
      expect(await box.jobOf(pid)).toMatchObject({ tenant: null });
      expect(readLimitFile(pid, "cpu", "cpu.cfs_quota_us")).toBe("80000");
    }
    for (const pid of pids.zeta) {
      expect(readLimitFile(pid, "cpu", "cpu.cfs_quota_us")).toBe("150000");
      expect(readLimitFile(pid, "cpu", "cpu.shares")).toBe("512");
      expect(readLimitFile(pid, "memory", "memory.soft_limit_in_bytes", "tenant")).toBe(String(500 * MIB));
    }

    // A policy with errors changes nothing, and the log, ps and ps --daemon report it.
    const before = (await sandbox().json(["ps"])).map(withoutPresentUse);
    box.write(policy.replace("cpu_quota: 60", "cpu_quota: plenty"));
    // The faults follow on lines of their own.
    const fault = /policy\.yaml:12:25: rules\[1\]\.limits\.cpu_quota: "plenty"/;
    await until("the refusal is logged", () => fault.test(box.log()));
    expect(box.log()).toContain("POLICY REJECTED");
    expect((await sandbox().json(["ps"])).map(withoutPresentUse)).toEqual(before);
    expect((await sandbox().run(["ps"])).stderr).toMatch(
      /policy\.yaml is NOT VALID, and the policy of \S+ stays in force: .*plenty/,
    );
    expect((await sandbox().json(["ps", "--daemon"])).policy_faults).toHaveLength(1);

    // A valid policy changes half of the jobs, each in its own way.
    box.write(
      policy
        .replace("cpu_quota: 60, memory_max: 256MiB", "cpu_quota: 40")
        .replace("tenant: acme", "tenant: zeta")
        .replace(`{command: ${basename(quiet)}}`, `{command: [${basename(quiet)}, ${basename(batch)}]}`)
        .replace("zeta: {memory_limit: 500MiB, pids_max: 200}", "zeta: {pids_max: 300}"),
    );
    await until("the last job is detached", () => !pids.batch.some(isGoverned));
    await until("the reload has finished", () => box.log().match(/ is released: the policy/g)?.length === 2);
    for (const pid of pids.acme) {
      const job = await box.jobOf(pid);
      expect(job).toMatchObject({ tenant: "zeta" });
      expect(readLimitFile(pid, "cpu", "cpu.cfs_quota_us")).toBe("40000");
      expect(Number(readLimitFile(pid, "memory", "memory.limit_in_bytes"))).toBeGreaterThan(2 ** 62);
      expect(tenantGroupOf(pid)).toBe(tenantGroupOf(pids.zeta[0] as number));
      expect(job.events.at(-1)).toMatchObject({
        kind: "limits_changed",
        detail: { because: "the policy's rule acme" },
      });
    }
    for (const pid of pids.zeta) {
      expect(readLimitFile(pid, "pids", "pids.max", "tenant")).toBe("300");
      expect(Number(readLimitFile(pid, "memory", "memory.soft_limit_in_bytes", "tenant"))).toBeGreaterThan(
        2 ** 62,
      );
    }
    for (const pid of pids.bob) expect(readLimitFile(pid, "cpu", "cpu.cfs_quota_us")).toBe("30000");
    for (const pid of pids.batch) {
      expect(isRunning(pid)).toBeTrue();
      expect(readProc(pid, "cgroup")).toBe(readFileSync("/proc/self/cgroup", "utf8"));
    }
    expect(withoutForeignJobs((await sandbox().run(["ps"])).stderr)).toBe("");
    expect(
      sandbox()
        .cgroups()
        .filter((path) => path.endsWith("-@acme")),
    ).toEqual([]);

    // A job that the policy released is governed again when the policy asks for it again.
    box.write(policy);
    for (const pid of pids.batch) await box.governed(pid);
  },
);

limitsTest("each filter rejects the processes that it names, and passes the others", async () => {
  const box = new PolicyBox(sandbox());
  const uid = 61_234;
  const here = { cwd: sandbox().directory };
  const parent = box.shell("parent");
  const filters: [filter: string, passes: StartOptions, fails: StartOptions][] = [
    [`allowed_uids: [${uid}]`, { uid }, {}],
    [`blocked_uids: [${uid}]`, {}, { uid }],
    ["allowed_users: [root]", {}, { uid }],
    ["blocked_users: [root]", { uid }, {}],
    [`allowed_dirs: [${here.cwd}]`, here, { cwd: "/" }],
    [`blocked_dirs: [${here.cwd}]`, { cwd: "/" }, here],
    [`allowed_parents: [${basename(parent)}]`, { parent }, {}],
    [`blocked_parents: [${basename(parent)}]`, {}, { parent }],
  ];
  const cases = filters.map(([filter, passes, fails], index) => ({
    filter,
    passes,
    fails,
    shell: box.shell(`f${index}`),
  }));
  const [young, old, last] = ["young", "old", "last"].map((word) => box.shell(word)) as [
    string,
    string,
    string,
  ];
  const commands = cases.map(({ shell, filter }) => `  ${basename(shell)}: {filters: {${filter}}}`);
  const targets = [...cases.map(({ shell }) => shell), young, old, last].map((path) => basename(path));
  box.write(`
target_commands: [${targets.join(", ")}]
commands:
${commands.join("\n")}
  ${basename(young)}: {filters: {min_runtime: 2s}}
  ${basename(old)}: {filters: {max_runtime: 1s}}
`);
  const tooOld = await box.run(old);
  const running = await Promise.all(
    cases.map(async ({ shell, passes, fails }) => ({
      passing: await box.run(shell, passes),
      failing: await box.run(shell, fails),
    })),
  );
  await until("the process has run for more than a second", () => ageTicks(tooOld) > 120);
  await box.start();
  const tooYoung = await box.run(young);
  const youngEnough = await box.run(old);
  for (const { passing } of running) await box.governed(passing);
  await box.governed(youngEnough);
  // No event occurs: the daemon decides again when the process is old enough.
  await box.governed(tooYoung);
  expect(ageTicks(tooYoung)).toBeGreaterThanOrEqual(200);
  await box.governed(await box.run(last));
  expect(running.filter(({ failing }) => isGoverned(failing)).map(({ failing }) => failing)).toEqual([]);
  expect(isGoverned(tooOld)).toBeFalse();
});

limitsTest("two busy loops of a tenant share its total, and do not slow another tenant's loop", async () => {
  const box = new PolicyBox(sandbox());
  const [shared, alone] = [box.shell("shared"), box.shell("alone")];
  box.write(`
rules:
  - {name: shared, match: {command: ${basename(shared)}}, tenant: acme}
  - {name: alone, match: {command: ${basename(alone)}}, tenant: zeta}
tenants: {acme: {cpu_quota: 20}, zeta: {cpu_quota: 20}}
`);
  await box.start();
  const BUSY = "while :; do :; done";
  const both = [await box.run(shared, {}, BUSY), await box.run(shared, {}, BUSY)];
  const other = await box.run(alone, {}, BUSY);
  for (const pid of [...both, other]) await box.governed(pid);
  const total = `${groupOf(both[0] as number, "cpuacct")}/../cpuacct.usage`;
  const others = `${groupOf(other, "cpuacct")}/cpuacct.usage`;
  // Other work on the machine may leave them less in one window. They must never get more.
  await until("both tenants get all of their totals, and no more", async () => {
    const [used, usedByOther] = await sharesOfCore([total, others], 3000);
    console.log(
      `of a core: ${used?.toFixed(2)} by two loops of one tenant, ${usedByOther?.toFixed(2)} by one of another`,
    );
    expect(used).toBeLessThan(0.25);
    expect(usedByOther).toBeLessThan(0.25);
    return (used ?? 0) > 0.16 && (usedByOther ?? 0) > 0.16;
  });
});

limitsTest("SIGHUP reloads the policy, and limits set by hand override it until they are reset", async () => {
  const box = new PolicyBox(sandbox());
  const shell = box.shell("tuned");
  const policy = (quota: number) =>
    `rules: [{name: all, match: {command: ${basename(shell)}}, limits: {cpu_quota: ${quota}}}]\n`;
  box.write(policy(50));
  const daemon = await box.start();
  const pid = await box.run(shell);
  await box.governed(pid);
  const { job_id: jobId } = await box.jobOf(pid);
  const quota = () => readLimitFile(pid, "cpu", "cpu.cfs_quota_us");
  expect((await sandbox().run(["limits", "set", jobId, "--cpu-quota", "20"])).code).toBe(0);
  expect(quota()).toBe("20000");

  box.write(policy(70));
  daemon.kill("SIGHUP");
  await until("the policy is read again", () => box.log().includes("Policy loaded (SIGHUP)"));
  await until("it is on record", async () => (await box.jobOf(pid)).events.length > 1);
  expect(quota()).toBe("20000");
  expect((await sandbox().run(["limits", "reset", jobId])).code).toBe(0);
  expect(quota()).toBe("70000");
  expect(daemon.exitCode).toBeNull();
});

limitsTest("a daemon that starts applies its policy to the jobs that it finds", async () => {
  const box = new PolicyBox(sandbox());
  const shell = box.shell("found");
  const policy = (rest: string) => `rules: [{name: all, match: {command: ${basename(shell)}}, ${rest}}]\n`;
  box.write(policy("tenant: acme, limits: {cpu_quota: 50}"));
  const first = await box.start();
  const pid = await box.run(shell);
  await box.governed(pid);
  first.kill("SIGKILL");
  await first.exited;

  box.write(policy("tenant: zeta, limits: {cpu_quota: 40}"));
  const second = await box.start();
  await until("the job has the new limits", () => readLimitFile(pid, "cpu", "cpu.cfs_quota_us") === "40000");
  // It enters its new cgroups one after the other.
  await until("the job is in its new tenant's cgroup", () => tenantGroupOf(pid).endsWith("-@zeta"));
  second.kill("SIGKILL");
  await second.exited;

  box.write(policy("ignore: true"));
  await box.start();
  await until("the job is detached", () => !isGoverned(pid));
  expect(isRunning(pid)).toBeTrue();
});

limitsTest(
  "a limit that another program changed is restored three times and then left alone, with a warning",
  async () => {
    const box = new PolicyBox(sandbox());
    const shell = box.shell("fought");
    box.write(`
scan_interval: 200ms
rules: [{name: all, match: {command: ${basename(shell)}}, limits: {pids_max: 50}}]
`);
    await box.start();
    const pid = await box.run(shell);
    await box.governed(pid);
    const file = `${groupOf(pid, "pids")}/pids.max`;
    for (let time = 1; time <= 3; time++) {
      await Bun.write(file, "max");
      await until("it is restored", () => readFileSync(file, "utf8") === "50\n");
    }
    await Bun.write(file, "max");
    await until("the limit is left alone", () => box.log().includes("left alone for an hour"));
    expect(readFileSync(file, "utf8")).toBe("max\n");
    const { limits, events } = await box.jobOf(pid);
    expect(limits).toMatchObject([{ limit: "pids.max", outcome: "refused", actual: "max" }]);
    expect(events.map(({ kind }: { kind: string }) => kind)).toEqual([
      ...Array(3).fill("reapplied"),
      "left_alone",
    ]);
  },
);

straceTest("a dry run prints the decisions and writes nothing below the cgroup roots", async () => {
  const box = new PolicyBox(sandbox());
  const shell = box.shell("tried");
  box.write(`
rules: [{name: some, match: {command: ${basename(shell)}}, tenant: acme, limits: {cpu_quota: 50, nice: 5}}]
`);
  const pid = await box.run(shell);
  const output = sandbox().path("strace");
  const calls = "trace=open,openat,creat,mkdir,mkdirat,rmdir,unlinkat,rename,renameat2,setpriority";
  const dryRun = [FFRTMP, "watch", "--watch-config", box.file, "--dry-run"];
  const traced = sandbox().spawn(["strace", "-f", "-o", output, "-e", calls, ...dryRun]);
  const { decision, changes } = parseDryRun(await new Response(traced.stdout as ReadableStream).text());
  expect(decision).toBe(
    `would govern PID ${pid} (${basename(shell)}) by rule some for tenant acme with cpu.max 50000 100000, nice 5`,
  );
  const job = `/ffrtmp-[0-9a-f]{6}-@acme/ffrtmp-[0-9a-f]{6}-auto-${basename(shell)}-${pid}`;
  for (const change of [
    "create cgroup /.*/ffrtmp-[0-9a-f]{6}-@acme for the tenant, unless it exists",
    `create cgroup /.*${job}`,
    `write "50000( 100000)?" to /.*${job}/cpu\\.(max|cfs_quota_us)`,
    `move its processes from /.* to /.*${job}`,
    `set nice of PID ${pid} from 0 to 5`,
  ]) {
    expect(changes).toContainEqual(expect.stringMatching(new RegExp(`^ {2}${change}$`)));
  }
  expect(await traced.exited).toBe(0);
  const touched = readFileSync(output, "utf8")
    .split("\n")
    .filter((line) => /"\/(sys\/fs\/cgroup|proc\/\d)/.test(line) || line.includes("setpriority"))
    .filter((line) => !/O_RDONLY/.test(line));
  expect(touched).toEqual([]);
  expect(isGoverned(pid)).toBeFalse();
});

function ageTicks(pid: number): number {
  const [uptime = "0"] = readFileSync("/proc/uptime", "utf8").split(" ");
  const start = Number(readProc(pid, "stat").split(") ")[1]?.split(" ")[19]);
  return Number(uptime) * 100 - start;
}

async function sharesOfCore(files: string[], windowMs: number): Promise<number[]> {
  const read = () => files.map((file) => Number(readFileSync(file, "utf8")));
  const before = read();
  const start = performance.now();
  await Bun.sleep(windowMs);
  const after = read();
  const elapsedNsec = (performance.now() - start) * 1e6;
  return after.map((used, index) => (used - (before[index] ?? 0)) / elapsedNsec);
}
