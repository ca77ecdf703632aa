import { afterEach, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";

const sandbox = useSandbox();
const clean: (() => unknown)[] = [];
afterEach(async () => {
  while (clean.length > 0) await clean.pop()?.();
});

/** Uses a second of CPU time, has a child of 150 MB killed at the owner's limit, then waits. */
const PAST = [
  "perl -e '1 while (times)[0] < 1'",
  `perl -e '$memory = "x" x 150e6'`,
  "echo done > $1",
  "exec sleep 1000",
].join("; ");

const ENDINGS = {
  "is detached": {
    end: async () => expect((await sandbox().run(["detach", "owned"])).code).toBe(0),
    slaReason: "detached",
  },
  ends: { end: async (pid: number) => process.kill(pid, "SIGKILL"), slaReason: "ended_by_signal" },
};

for (const [how, { end, slaReason }] of Object.entries(ENDINGS)) {
  vmTest(
    `usage and OOM kills of a service before it was governed in place are not its job's, when it ${how}`,
    async () => {
      const { pid, directory } = await startOwner();
      const before = Number(/^user_usec (\d+)$/m.exec(readFileSync(`${directory}/cpu.stat`, "utf8"))?.[1]);
      expect(before).toBeGreaterThanOrEqual(1e6);
      expect(readFileSync(`${directory}/memory.events`, "utf8")).toMatch(/^oom_kill [1-9]/m);
      const observer = sandbox().start(
        [
          "attach",
          "--pid",
          String(pid),
          "--job-id",
          "owned",
          "--placement",
          "in-place",
          "--memory-max",
          "64M",
        ],
        { stdout: "ignore", stderr: "ignore" },
      );
      await until("the service is governed", async () => {
        const { code, stdout } = await sandbox().run(["inspect", "owned", "--json"]);
        return code === 0 && JSON.parse(stdout).state === "running";
      });
      const during = await sandbox().json(["inspect", "owned"]);
      expect(during.usage).toMatchObject({ oom_kills: 0, memory_max_hits: 0, memory_peak_bytes: null });
      expect(during.usage.cpu_user_seconds).toBeLessThan(0.5);
      expect((await sandbox().run(["inspect", "owned"])).stdout).toMatch(
        /memory peak +unknown: at most [\d.]+ [KM]iB, the peak from before the job was governed/,
      );
      await end(pid);
      const { platform_sla_reason: reason, usage } = await sandbox().resultOf("owned");
      // systemd may remove the cgroup of the service before ffrtmp reads it. The count is unknown then.
      expect([0, null]).toContain(usage.oom_kills);
      expect(usage.cpu_user_seconds ?? 0).toBeLessThan(0.5);
      expect(reason).toBe(slaReason);
      await observer.exited;
    },
  );
}

vmTest("an OOM kill at the job's own limit is a violation, in a cgroup with earlier OOM kills", async () => {
  const { pid } = await startOwner("read line < $2; perl -e '$memory = \"x\" x 90e6'; exec sleep 1000");
  const args = ["attach", "--pid", String(pid), "--job-id", "owned", "--placement", "in-place"];
  sandbox().start([...args, "--memory-max", "64M"], { stdout: "ignore", stderr: "ignore" });
  await until("the service is governed", async () => {
    const { code, stdout } = await sandbox().run(["inspect", "owned", "--json"]);
    return code === 0 && JSON.parse(stdout).state === "running";
  });
  Bun.spawnSync(["sh", "-c", `echo go > ${sandbox().path("go")}`]);
  await until("the kernel has killed the child", async () => {
    const { usage } = await sandbox().json(["inspect", "owned"]);
    return usage.oom_kills === 1;
  });
  expect((await sandbox().run(["detach", "owned"])).code).toBe(0);
  expect(await sandbox().resultOf("owned")).toMatchObject({
    platform_sla_compliant: false,
    platform_sla_reason: "killed_at_our_memory_cap",
    usage: { oom_kills: 1 },
  });
});

/** Starts a service and waits until it has run PAST. */
async function startOwner(then?: string): Promise<{ pid: number; directory: string }> {
  const unit = `ffrtmp-past-${process.pid}.service`;
  const [done, go] = [sandbox().path("done"), sandbox().path("go")];
  Bun.spawnSync(["mkfifo", go]);
  const script = then === undefined ? PAST : PAST.replace("exec sleep 1000", then);
  const settings = ["MemoryMax=100M", "MemorySwapMax=0", "OOMPolicy=continue"].flatMap((each) => [
    "-p",
    each,
  ]);
  const words = ["systemd-run", "--quiet", "--collect", "--unit", unit, ...settings, "--"];
  const child = Bun.spawnSync([...words, "sh", "-c", script, "sh", done, go]);
  if (child.exitCode !== 0) throw new Error(child.stderr.toString());
  clean.push(() => Bun.spawnSync(["systemctl", "stop", unit]));
  await until("PAST is over", () => Bun.file(done).size > 0);
  const directory = `/sys/fs/cgroup/system.slice/${unit}`;
  await until(
    "the service waits",
    () => readFileSync(`${directory}/cgroup.procs`, "utf8").trim().split("\n").length === 1,
  );
  return { pid: Number(readFileSync(`${directory}/cgroup.procs`, "utf8")), directory };
}
