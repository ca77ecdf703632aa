import { afterEach, expect } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { eventually, FFRTMP, isRunning, until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";

const sandbox = useSandbox();
const clean: (() => unknown)[] = [];
afterEach(async () => {
  while (clean.length > 0) await clean.pop()?.();
});

for (const act of ["stop", "restart"]) {
  vmTest(
    `a workload that a service started by ffrtmp run outlives its ${act}, with its limits and its observer`,
    async () => {
      const unit = serviceThat(
        `${FFRTMP} run -d --job-id kept --memory-max 300M --cpu-quota 50 -- sleep 1000 || :`,
      );
      systemctl("start", unit);
      const pid = await sandbox().pidOf("kept");
      sandbox().adopt(pid);
      const { observer_pid: observer, limits } = await sandbox().json(["inspect", "kept"]);
      expect(limits.map(({ outcome }: { outcome: string }) => outcome)).toEqual(["applied", "applied"]);
      const place = readFileSync(`/proc/${pid}/cgroup`, "utf8");
      expect(place).toMatch(/^0::\/system\.slice\/ffrtmp-[0-9a-f]{6}-kept\.scope\/ffrtmp-[0-9a-f]{6}-kept$/m);
      systemctl(act, unit);
      expect(isRunning(pid)).toBe(true);
      expect(isRunning(observer)).toBe(true);
      systemctl("daemon-reload");
      expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(place);
      process.kill(pid, "SIGTERM");
      expect(await sandbox().resultOf("kept")).toMatchObject({ signal: "SIGTERM", exit_evidence: "parent" });
      await until("the scope is gone", () => sandbox().cgroups().length === 0);
    },
  );
}

vmTest(
  "a workload is in the cgroup of its scope from its first instruction, and its caller's limits still apply",
  async () => {
    const output = sandbox().path("first");
    const unit = serviceThat(
      `${FFRTMP} run --job-id first -- sh -c "cat /proc/self/cgroup > ${output}; sleep 1000"`,
      "MemoryMax=700M\nCPUQuota=60%",
    );
    systemctl("start", unit);
    sandbox().adopt(await sandbox().pidOf("first"));
    await until("the workload has written its cgroup", () => Bun.file(output).size > 0);
    const path = readFileSync(output, "utf8").trim().slice("0::".length);
    expect(path).toContain("-first.scope/");
    const scope = `/sys/fs/cgroup${path.slice(0, path.lastIndexOf("/"))}`;
    expect(readFileSync(`${scope}/memory.max`, "utf8")).toBe(`${700 * 1024 ** 2}\n`);
    expect(readFileSync(`${scope}/cpu.max`, "utf8")).toBe("60000 100000\n");
  },
);

vmTest("a workload outlives its ssh session with KillUserProcesses=yes", async () => {
  mkdirSync("/etc/systemd/logind.conf.d", { recursive: true });
  writeFileSync(
    "/etc/systemd/logind.conf.d/kill.conf",
    "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=nobody\n",
  );
  clean.push(() => {
    rmSync("/etc/systemd/logind.conf.d/kill.conf");
    systemctl("restart", "systemd-logind");
  });
  systemctl("restart", "systemd-logind");
  const key = sandbox().path("key");
  Bun.spawnSync(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]);
  const authorized = "/root/.ssh/authorized_keys";
  const before = readFileSync(authorized, "utf8");
  writeFileSync(authorized, before + readFileSync(`${key}.pub`, "utf8"));
  clean.push(() => writeFileSync(authorized, before));
  const bystander = sandbox().path("bystander");
  const script = `export FFRTMP_STATE=${sandbox().state}; sleep 1000 >/dev/null 2>&1 </dev/null & echo $! > ${bystander}; ${FFRTMP} run -d --job-id session -- sleep 1000`;
  const options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i", key];
  const session = sandbox().spawn(["ssh", "-q", ...options, "root@127.0.0.1", script]);
  expect(await session.exited).toBe(0);
  const pid = await sandbox().pidOf("session");
  sandbox().adopt(pid);
  const killed = Number(readFileSync(bystander, "utf8"));
  await until("the session has killed its other process", () => !isRunning(killed));
  expect(isRunning(pid)).toBe(true);
  expect((await sandbox().json(["inspect", "session"])).observer_pid).toBeGreaterThan(0);
});

vmTest(
  "a workload outlives the cron daemon that started it, even when all processes of cron's unit are killed",
  async () => {
    const table = "/etc/cron.d/ffrtmp-test";
    const bystander = sandbox().path("bystander");
    const job = `${FFRTMP} run -d --state-path ${sandbox().state} --job-id nightly -- sleep 1000`;
    const command = `sleep 1000 & echo $! > ${bystander}; ${job}`;
    writeFileSync(table, `* * * * * root ${command}\n`);
    clean.push(() => rmSync(table, { force: true }));
    const pid = await eventually(
      "cron has started the job",
      async () => {
        const { code, stdout } = await sandbox().run(["inspect", "nightly", "--json"]);
        return code === 0 ? ((JSON.parse(stdout).pid as number | null) ?? undefined) : undefined;
      },
      90_000,
    );
    rmSync(table);
    sandbox().adopt(pid);
    // Stopping Debian's unit does not kill the processes that cron started, so the test kills them all.
    systemctl("kill", "--kill-whom=all", "--signal=KILL", "cron.service");
    const killed = Number(readFileSync(bystander, "utf8"));
    await until("the other process of cron is gone", () => !isRunning(killed));
    expect(isRunning(pid)).toBe(true);
    expect(await sandbox().json(["inspect", "nightly"])).toMatchObject({
      observer_pid: expect.any(Number),
      labels: { scheduler: "cron", systemd_unit: "cron.service" },
    });
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain("-nightly.scope/");
  },
);

vmTest(
  "a workload stays in a unit that restricts devices, with a warning, and is limited there",
  async () => {
    const output = sandbox().path("first");
    const errors = sandbox().path("errors");
    const unit = serviceThat(
      `${FFRTMP} run --job-id held --cpu-quota 50 -- sh -c "cat /proc/self/cgroup > ${output}; exec sleep 1000" 2> ${errors}`,
      "DevicePolicy=closed",
    );
    systemctl("start", unit);
    sandbox().adopt(await sandbox().pidOf("held"));
    await until("the workload has written its cgroup", () => Bun.file(output).size > 0);
    expect(readFileSync(output, "utf8")).toContain(`/system.slice/${unit}/`);
    expect(readFileSync(errors, "utf8")).toContain(
      `${unit} sets DevicePolicy, which a scope would not enforce`,
    );
    expect((await sandbox().json(["inspect", "held"])).limits).toMatchObject([{ outcome: "applied" }]);
  },
);

function serviceThat(script: string, settings = ""): string {
  const unit = `ffrtmp-caller-${process.pid}.service`;
  const path = `/run/systemd/system/${unit}`;
  writeFileSync(sandbox().path("script"), `#!/bin/sh\n${script}\nexec sleep 1000\n`, { mode: 0o755 });
  writeFileSync(
    path,
    `[Service]\nEnvironment=FFRTMP_STATE=${sandbox().state}\n${settings}\nExecStart=${sandbox().path("script")}\n`,
  );
  systemctl("daemon-reload");
  clean.push(() => {
    systemctl("stop", unit);
    rmSync(path);
    systemctl("daemon-reload");
  });
  return unit;
}

function systemctl(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["systemctl", ...words]);
  if (exitCode !== 0) throw new Error(`systemctl ${words.join(" ")}: ${stderr}`);
}
