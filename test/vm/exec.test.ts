import { expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { FFRTMP, until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { useUnits } from "../support/vm/units.ts";

// `ffrtmp exec` as the command of a systemd unit.

const sandbox = useSandbox();
const units = useUnits();

const show = (unit: string, property: string): string =>
  Bun.spawnSync(["systemctl", "show", "--value", `--property=${property}`, unit])
    .stdout.toString()
    .trim();

/** Starts a service whose command becomes `command`, and returns its name when it is that. */
async function startService(name: string, options: string[], command: string[]): Promise<string> {
  const unit = `ffrtmp-exec-${name}-${sandbox().tag}.service`;
  units.after(() => Bun.spawnSync(["systemctl", "stop", unit]));
  const service = ["systemd-run", "--quiet", `--unit=${unit}`, "-E", `FFRTMP_STATE=${sandbox().state}`];
  const words = [
    ...service,
    ...options,
    "--",
    FFRTMP,
    "exec",
    "--job-id",
    name,
    "--memory-max",
    "64M",
    "--cpu-quota",
    "50",
  ];
  const child = sandbox().spawn([...words, "--", ...command]);
  expect(await child.exited).toBe(0);
  return unit;
}

vmTest("the workload is the main process of its unit, in the unit's cgroup, under both limits", async () => {
  const unit = await startService("own", ["-p", "MemoryMax=200M"], ["sleep", "1000"]);
  const pid = await sandbox().pidOf("own");
  await until("it is the workload", () => readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n");
  expect(show(unit, "MainPID")).toBe(String(pid));
  const path = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice("0::".length);
  expect(path).toStartWith(`/system.slice/${unit}`);
  const { limits, cgroups, labels } = await sandbox().json(["inspect", "own"]);
  expect(labels).toEqual({ scheduler: "systemd", systemd_unit: unit });
  expect(cgroups).toEqual([`/sys/fs/cgroup${path}`]);
  expect(limits.map(({ outcome }: { outcome: string }) => outcome)).toEqual(["applied", "applied"]);
  expect(readFileSync(`/sys/fs/cgroup${path}/memory.max`, "utf8").trim()).toBe(String(64 << 20));
  expect(readFileSync(`/sys/fs/cgroup${path}/cpu.max`, "utf8").trim()).toBe("50000 100000");
  Bun.spawnSync(["systemctl", "stop", unit]);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
  expect(existsSync(`/sys/fs/cgroup/system.slice/${unit}`)).toBe(false);
  expect((await sandbox().json(["history"]))[0]).toMatchObject({ job_id: "own", ending: "unobserved" });
});

vmTest("the unit has the exit code of the command", async () => {
  const unit = await startService("ends", ["-p", "RemainAfterExit=no"], ["sh", "-c", "exit 7"]);
  await until("it has ended", () => show(unit, "ActiveState") === "failed");
  expect(show(unit, "ExecMainStatus")).toBe("7");
  Bun.spawnSync(["systemctl", "reset-failed", unit]);
});
