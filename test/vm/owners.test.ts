import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import type { Limits } from "../../src/limits/limits.ts";
import { controllersOf } from "../../src/linux/cgroup/backends.ts";
import { readEffectiveLimits } from "../../src/linux/cgroup/effectiveLimits.ts";
import { directoryOf, readHierarchies, readMembership } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { until, useSandbox } from "../support/sandbox.ts";
import { startCrun } from "../support/vm/crun.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { differencesFrom, snapshot, useUnits } from "../support/vm/units.ts";

const sandbox = useSandbox();
const units = useUnits();
const MIB = 1024 ** 2;
/** Uses as much CPU as it gets. */
const LOOP = "exec perl -e '1 while 1'";

/** Looser than the owner's limits, so none of these may apply. */
const LOOSER = ["--cpu-quota", "90", "--memory-max", "900M", "--cpu-weight", "500"];
const TIGHTER = ["--cpu-quota", "20"];

const PLACEMENTS = ["auto", "in-place", "nested", "scope"];

/** Owners of a process, a function that starts one there, and the placements that are refused for it. */
const OWNERS: Record<string, { start(): Promise<number>; refused: string[] }> = {
  service: {
    start: () => startLoop("service", ["-p", "CPUQuota=40%", "-p", "MemoryMax=200M"], LOOP),
    refused: [],
  },
  "service with several processes": {
    start: () =>
      startLoop(
        "several",
        ["-p", "CPUQuota=40%"],
        `sleep 1000 & sleep 1001 & sh -c "${LOOP.replaceAll('"', '\\"')}" & wait`,
      ),
    refused: ["in-place"],
  },
  "delegated unit": {
    start: () => startLoop("delegated", ["-p", "Delegate=yes", "-p", "CPUQuota=40%"], LOOP),
    refused: ["scope"],
  },
  "session scope": {
    start: () => startLoop("session", ["--scope", "--slice=user-0.slice", "-p", "CPUQuota=40%"], LOOP),
    refused: ["scope"],
  },
  "container of crun": { start: startContainer, refused: ["scope"] },
  "root cgroup": { start: startAtRoot, refused: ["in-place", "scope"] },
};

for (const [owner, { start, refused }] of Object.entries(OWNERS)) {
  for (const placement of refused) {
    vmTest(`${placement} is refused for a process of a ${owner}, and changes nothing`, async () => {
      const pid = await start();
      const before = snapshot(units.names);
      for (const flags of [LOOSER, TIGHTER]) {
        const { code } = await sandbox().run(attach(pid, `${placement}-${flags[1]}`, placement, flags));
        expect(code).toBe(2);
        expect(snapshot(units.names)).toEqual(before);
      }
    });
  }

  for (const placement of PLACEMENTS.filter((each) => !refused.includes(each))) {
    vmTest(
      `a process of a ${owner} never gets looser limits, and detach leaves no trace: ${placement}`,
      async () => {
        const pid = await start();
        const before = snapshot(units.names);
        const held = effective(pid);
        // auto chooses one of the other placements, which run with both sets of flags.
        for (const flags of placement === "auto" ? [LOOSER] : [LOOSER, TIGHTER]) {
          const jobId = `${placement}-${flags[1]}`;
          const observer = sandbox().start(attach(pid, jobId, placement, flags), {
            stdout: "ignore",
            stderr: "ignore",
          });
          await until(`${jobId} is governed`, async () => {
            if (observer.exitCode !== null) throw new Error(`attach ended with ${observer.exitCode}`);
            const { code, stdout } = await sandbox().run(["inspect", jobId, "--json"]);
            return code === 0 && JSON.parse(stdout).state === "running";
          });
          expectAsTight(effective(pid), held);
          const cores = Math.min(coresOf(held), Number(flags[1]) / 100);
          expect(coresOf(effective(pid))).toBeLessThanOrEqual(cores);
          expect(await coresUsed(pid)).toBeLessThan(cores + 0.15);
          observer.kill("SIGTERM");
          await observer.exited;
          expect((await sandbox().run(["detach", jobId])).code).toBe(0);
          expect(await differencesFrom(before, units.names)).toEqual({});
        }
        expect(coresOf(effective(pid))).toBe(coresOf(held));
      },
    );
  }
}

function attach(pid: number, jobId: string, placement: string, flags: string[]): string[] {
  return ["attach", "--pid", String(pid), "--job-id", jobId, "--placement", placement, ...flags];
}

function effective(pid: number): Limits {
  const host = realHost();
  const [hierarchy] = readHierarchies(host);
  const membership = readMembership(host, pid);
  if (!hierarchy || membership === "gone") throw new Error(`process ${pid} is gone`);
  const path = directoryOf(hierarchy, membership.get("") ?? "");
  if (path === undefined) throw new Error("its cgroup is not visible");
  const everything = controllersOf({ ...hierarchy, controllers: ["cpu", "memory", "io", "pids", "cpuset"] });
  return readEffectiveLimits(everything, { fs: host.cgroupFs, hierarchy, path });
}

function expectAsTight(now: Limits, before: Limits): void {
  expect(coresOf(now)).toBeLessThanOrEqual(coresOf(before));
  for (const field of ["memoryMaxBytes", "memoryHighBytes", "pidsMax"] as const)
    expect(now[field] ?? Number.POSITIVE_INFINITY).toBeLessThanOrEqual(
      before[field] ?? Number.POSITIVE_INFINITY,
    );
}

function coresOf({ cpuMax }: Limits): number {
  return !cpuMax || cpuMax.quotaUsec === "max"
    ? Number.POSITIVE_INFINITY
    : cpuMax.quotaUsec / cpuMax.periodUsec;
}

/** Measures the cores that a process uses over two seconds. */
async function coresUsed(pid: number): Promise<number> {
  const ticks = (): number => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return Number(fields[11]) + Number(fields[12]);
  };
  const before = ticks();
  const began = performance.now();
  await Bun.sleep(2000);
  return ((ticks() - before) * 10) / (performance.now() - began);
}

async function startAtRoot(): Promise<number> {
  const child = sandbox().spawn(["perl", "-e", "1 while 1"]);
  writeFileSync("/sys/fs/cgroup/cgroup.procs", String(child.pid));
  return child.pid;
}

async function startContainer(): Promise<number> {
  const resources = { memory: { limit: 200 * MIB }, cpu: { quota: 40_000, period: 100_000 } };
  return startCrun(units, sandbox().path("bundle"), "while :; do :; done", resources);
}

function startLoop(name: string, options: string[], script: string): Promise<number> {
  return units.start(`ffrtmp-owner-${name}`, options, script, "perl");
}
