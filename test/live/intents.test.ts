import { expect } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { removeOwner } from "../support/foreignCgroup.ts";
import { isGoverned, PolicyBox, readLimitFile } from "../support/policyBox.ts";
import { lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const cpu = readHierarchies(realHost()).find(
  ({ version, controllers }) => version === 1 && controllers.includes("cpu"),
);
const v1Test = testIf(lacksLimits() ?? (cpu ? undefined : "the cpu controller is not on cgroup v1"));

const sharesOf = (pid: number) => ["cpu.shares", "cpu.idle"].map((file) => readLimitFile(pid, "cpu", file));

v1Test("a job without a limit on CPU time stays among the threads beside it", async () => {
  const { pid } = await sandbox().startJob("free", [], ["sleep", "600"]);
  const cgroups = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  expect(cgroups).toMatch(/pids:.*ffrtmp-/);
  expect(cgroups).not.toMatch(/:cpu:.*ffrtmp-/);
  // A limit that is set later gets the cgroup that it needs, which goes away with it.
  await sandbox().run(["limits", "set", "free", "--cpu-quota", "50"]);
  expect(readLimitFile(pid, "cpu", "cpu.cfs_quota_us")).toBe("50000");
  const [outcome] = (await sandbox().json(["inspect", "free"])).limits;
  expect(outcome).toMatchObject({ limit: "cpu.max", outcome: "applied" });
  await sandbox().run(["limits", "reset", "free"]);
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(cgroups);
});

v1Test("a policy that gives a job no limit on CPU time any more puts it back among the threads", async () => {
  const box = new PolicyBox(sandbox());
  const shell = box.shell("stream");
  const policy = (rest: string) =>
    `intents: {}\nrules: [{name: all, match: {command: ${basename(shell)}}${rest}}]\n`;
  box.write(policy(", intent: live"));
  const daemon = await box.start();
  const pid = await box.run(shell);
  await box.governed(pid);
  const cpuLine = () => readFileSync(`/proc/${pid}/cgroup`, "utf8").match(/^.*:cpu(,cpuacct)?:.*$/m)?.[0];
  expect(cpuLine()).toContain("/ffrtmp-");
  box.write(policy(""));
  daemon.kill("SIGHUP");
  await until("the job has left its cgroup", () => !cpuLine()?.includes("/ffrtmp-"));
  expect(isGoverned(pid)).toBeTrue();
});

v1Test.each([
  ["live", "10240", "0"],
  ["batch", "10", "0"],
  ["best-effort", "3", "1"],
])("--intent %s sets the share of a job that starts and of one that runs", async (intent, shares, idle) => {
  const box = sandbox();
  const { pid } = await box.startJob("started", ["--intent", intent], ["sleep", "600"]);
  const running = box.spawn(["sleep", "600"]).pid;
  const before = sharesOf(running);
  const { code, stderr } = await box.run([
    "attach",
    "-d",
    "--job-id",
    "attached",
    "--pid",
    `${running}`,
    "--intent",
    intent,
  ]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  for (const each of [pid, running]) expect(sharesOf(each)).toEqual([shares, idle]);
  expect((await box.run(["detach", "attached"])).code).toBe(0);
  expect(sharesOf(running)).toEqual(before);
});

v1Test("an explicit weight wins over an intent, and a limit set by hand over both", async () => {
  const { jobId, pid } = await sandbox().startJob(
    "mine",
    ["--intent", "best-effort", "--cpu-weight", "50"],
    ["sleep", "600"],
  );
  expect(sharesOf(pid)).toEqual(["512", "0"]);
  const set = async (...options: string[]) =>
    expect((await sandbox().run(["limits", "set", jobId, ...options])).code).toBe(0);
  await set("--cpu-idle", "1");
  expect(sharesOf(pid)).toEqual(["3", "1"]);
  await set("--cpu-weight", "20");
  expect(sharesOf(pid)).toEqual(["205", "0"]);
});

v1Test(
  "a daemon writes the gate of batch in a cgroup of its own, and SIGKILL and detach leave the owner's value",
  async () => {
    const box = new PolicyBox(sandbox());
    const [live, batch] = [box.shell("live"), box.shell("batch")];
    const fifo = sandbox().path("fifo");
    Bun.spawnSync(["mkfifo", fifo]);
    const gate = `${cpu?.mountPoint}/lab-${sandbox().tag}`;
    mkdirSync(gate);
    try {
      box.write(`
scan_interval: 100ms
intents: {}
rules:
  - {name: live, match: {command: ${basename(live)}}, intent: live}
  - {name: batch, match: {command: ${basename(batch)}}, intent: batch}
`);
      const [livePid, batchPid] = [await box.run(live), await box.run(batch, {}, `: <${fifo}`)];
      writeFileSync(`${gate}/tasks`, `${batchPid}`);
      const shares = () => readFileSync(`${gate}/cpu.shares`, "utf8").trim();
      let daemon = await box.start();
      await box.governed(livePid);
      await box.governed(batchPid);
      await until("the gate has the weight of batch", () => shares() === "10");
      expect(sharesOf(livePid)).toEqual(["10240", "0"]);
      expect(sharesOf(batchPid)).toEqual(["10", "0"]);

      daemon.kill("SIGKILL");
      await daemon.exited;
      expect(shares()).toBe("10");
      // A later daemon restores the gate when it holds another process, and says so.
      const stranger = sandbox().spawn(["sleep", "600"]).pid;
      writeFileSync(`${gate}/tasks`, `${stranger}`);
      daemon = await box.start();
      await until("the owner's value is back", () => shares() === "1024");
      const { job_id: jobId, limits } = await box.jobOf(batchPid);
      expect(limits).toMatchObject([
        {
          limit: "cpu.weight",
          outcome: "partial",
          because: expect.stringContaining("it holds other processes"),
        },
        ...limits.slice(1),
      ]);
      writeFileSync(`${cpu?.mountPoint}/tasks`, `${stranger}`);
      await until("the gate has the weight of batch again", () => shares() === "10");
      expect((await sandbox().run(["detach", jobId])).code).toBe(0);
      expect(shares()).toBe("1024");
      expect(isGoverned(batchPid)).toBeFalse();
    } finally {
      await removeOwner(gate);
    }
  },
);

v1Test(
  "two attach at once with different weights in one cgroup leave the higher one, and the owner's value to restore",
  async () => {
    const box = sandbox();
    const gate = `${cpu?.mountPoint}/both-${box.tag}`;
    const shares = () => readFileSync(`${gate}/cpu.shares`, "utf8").trim();
    await box.startJob("live", ["--intent", "live"], ["sleep", "600"]);
    mkdirSync(gate);
    try {
      const attach = async (jobId: string, weight: number): Promise<void> => {
        const { pid } = box.spawn(["sleep", "600"]);
        writeFileSync(`${gate}/tasks`, `${pid}`);
        const flags = ["--pid", `${pid}`, "--intent", "batch", "--cpu-weight", `${weight}`];
        const { code, stderr } = await box.run(["attach", "-d", "--job-id", jobId, ...flags]);
        expect({ code, stderr }).toMatchObject({ code: 0 });
      };
      await Promise.all([attach("low", 2), attach("high", 50)]);
      expect(shares()).toBe("512");
      for (const jobId of ["high", "low"]) expect((await box.run(["detach", jobId])).code).toBe(0);
      expect(shares()).toBe("1024");
    } finally {
      await removeOwner(gate);
    }
  },
);
