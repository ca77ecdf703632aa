import { afterEach, expect } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { controllersOf } from "../../src/kernel/cgroup/controllers.ts";
import { readEffectiveLimits } from "../../src/kernel/cgroup/heldLimits.ts";
import { directoryOf, readHierarchies, readMembership } from "../../src/kernel/cgroup/hierarchies.ts";
import { realHost } from "../../src/kernel/host.ts";
import type { Limits } from "../../src/kernel/limits.ts";
import { until, useSandbox } from "../live/sandbox.ts";
import { vmTest } from "./insideVm.ts";

const sandbox = useSandbox();
const MIB = 1024 ** 2;
/** Burns a core: what it gets is what holds it. */
const LOOP = "exec perl -e '1 while 1'";

/** Who a process belongs to, how to start one there, and which placements are refused for it. */
const OWNERS: Record<string, { start(): Promise<number>; refused: string[] }> = {
  service: {
    start: () => startUnit("service", ["-p", "CPUQuota=40%", "-p", "MemoryMax=200M"], LOOP),
    refused: [],
  },
  "service with several processes": {
    start: () =>
      startUnit(
        "several",
        ["-p", "CPUQuota=40%"],
        `sleep 1000 & sleep 1001 & sh -c "${LOOP.replaceAll('"', '\\"')}" & wait`,
      ),
    refused: ["in-place"],
  },
  "delegated unit": {
    start: () => startUnit("delegated", ["-p", "Delegate=yes", "-p", "CPUQuota=40%"], LOOP),
    refused: ["scope"],
  },
  "session scope": {
    start: () => startUnit("session", ["--scope", "--slice=user-0.slice", "-p", "CPUQuota=40%"], LOOP),
    refused: ["scope"],
  },
  "container of crun": { start: startContainer, refused: ["scope"] },
  "root cgroup": { start: startAtRoot, refused: ["in-place", "scope"] },
};

const clean: (() => unknown)[] = [];
afterEach(async () => {
  while (clean.length > 0) await clean.pop()?.();
});

for (const [owner, { start, refused }] of Object.entries(OWNERS)) {
  for (const placement of ["auto", "in-place", "nested", "scope"]) {
    vmTest(
      `never loosens, and comes off without a trace: ${placement} for a process of a ${owner}`,
      async () => {
        const pid = await start();
        const before = snapshot();
        const held = effective(pid);
        // Looser than what holds: nothing of it may come true.
        for (const flags of [
          ["--cpu-quota", "90", "--memory-max", "900M", "--cpu-weight", "500"],
          ["--cpu-quota", "20"],
        ]) {
          const jobId = `${placement}-${flags[1]}`;
          const args = [
            "attach",
            "--pid",
            String(pid),
            "--job-id",
            jobId,
            "--placement",
            placement,
            ...flags,
          ];
          const observer = sandbox().start(args, { stdout: "ignore", stderr: "ignore" });
          if (refused.includes(placement)) {
            expect(await observer.exited).toBe(2);
            expect(snapshot()).toEqual(before);
            continue;
          }
          await until(`${jobId} is governed`, async () => {
            if (observer.exitCode !== null) throw new Error(`attach ended with ${observer.exitCode}`);
            const { code, stdout } = await sandbox().run(["inspect", jobId, "--json"]);
            return code === 0 && JSON.parse(stdout).state === "running";
          });
          expectAsTight(effective(pid), held);
          const cores = Math.min(coresOf(held), Number(flags[1]) / 100);
          expect(coresOf(effective(pid))).toBeLessThanOrEqual(cores);
          if (cores < 1) expect(await coresUsed(pid)).toBeLessThan(cores + 0.15);
          observer.kill("SIGTERM");
          await observer.exited;
          expect((await sandbox().run(["detach", jobId])).code).toBe(0);
          // systemd takes its own time to clear an empty scope away.
          for (let tries = 0; tries < 30 && !Bun.deepEquals(snapshot(), before); tries++)
            await Bun.sleep(100);
          expect(changed(snapshot(), before)).toEqual({});
        }
        expect(coresOf(effective(pid))).toBe(coresOf(held));
      },
    );
  }
}

/** Every cgroup with all that can be set in it, and every property of the units that are not ours to change. */
function snapshot(): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = `${directory}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (
        /\.(max|high|low|min|weight|idle|cpus|mems|type|subtree_control|controllers)$/.test(entry.name)
      )
        found[path] = readText(path);
    }
  };
  walk("/sys/fs/cgroup");
  for (const unit of units) found[unit] = properties(unit);
  return found;
}

/** Without what moves by itself: counters, times, and the order of sets. */
function properties(unit: string): string {
  const { stdout } = Bun.spawnSync(["systemctl", "show", unit]);
  return stdout
    .toString()
    .split("\n")
    .filter(
      (line) =>
        !/^(CPUUsageNSec|StateChangeTimestamp\w*|MemoryCurrent|TasksCurrent|IO(Read|Write)\w+|MemoryAvailable|IP\w+|EffectiveCPUs|EffectiveMemoryNodes)=/.test(
          line,
        ),
    )
    .join("\n");
}

const units = new Set<string>();

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "unreadable";
  }
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

/** Cores that a process and its children use, over two seconds. */
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

async function startUnit(name: string, options: string[], script: string): Promise<number> {
  const isScope = options.includes("--scope");
  const unit = `ffrtmp-owner-${name}.${isScope ? "scope" : "service"}`;
  const words = ["systemd-run", "--quiet", "--collect", "--unit", unit, ...options, "sh", "-c", script];
  const child = Bun.spawn(words, { stdio: ["ignore", "ignore", "ignore"] });
  units.add(unit);
  clean.push(() => units.delete(unit));
  clean.push(async () => {
    Bun.spawnSync(["systemctl", "stop", unit]);
    child.kill("SIGKILL");
    await child.exited;
  });
  let pid = 0;
  await until(`${unit} runs its loop`, () => {
    const path = Bun.spawnSync(["systemctl", "show", "-P", "ControlGroup", unit]).stdout.toString().trim();
    const pids = path === "" ? [] : readText(`/sys/fs/cgroup${path}/cgroup.procs`).split("\n").map(Number);
    pid = pids.find((each) => readText(`/proc/${each}/comm`).trim() === "perl") ?? 0;
    return pid !== 0;
  });
  return pid;
}

async function startAtRoot(): Promise<number> {
  const child = sandbox().spawn(["perl", "-e", "1 while 1"]);
  writeFileSync("/sys/fs/cgroup/cgroup.procs", String(child.pid));
  return child.pid;
}

async function startContainer(): Promise<number> {
  const bundle = sandbox().path("bundle");
  mkdirSync(`${bundle}/rootfs/bin`, { recursive: true });
  mkdirSync(`${bundle}/rootfs/proc`);
  Bun.spawnSync(["cp", "/bin/busybox", `${bundle}/rootfs/bin/busybox`]);
  Bun.spawnSync(["crun", "spec"], { cwd: bundle });
  const spec = JSON.parse(readFileSync(`${bundle}/config.json`, "utf8"));
  spec.process.args = ["/bin/busybox", "sh", "-c", "while :; do :; done"];
  spec.process.terminal = false;
  spec.linux.resources = { memory: { limit: 200 * MIB }, cpu: { quota: 40_000, period: 100_000 } };
  writeFileSync(`${bundle}/config.json`, JSON.stringify(spec));
  const id = `ffrtmp-owner-${process.pid}`;
  const child = Bun.spawn(["crun", "run", "--detach", "--pid-file", `${bundle}/pid`, id], {
    cwd: bundle,
    stdio: ["ignore", "ignore", "pipe"],
  });
  clean.push(() => {
    Bun.spawnSync(["crun", "delete", "--force", id]);
    rmSync(bundle, { recursive: true, force: true });
  });
  if ((await child.exited) !== 0) throw new Error(await child.stderr.text());
  return Number(readFileSync(`${bundle}/pid`, "utf8"));
}

/** Lines that differ, by the file or unit that they stand in. */
function changed(now: Record<string, string>, before: Record<string, string>): Record<string, string[]> {
  const names = [...new Set([...Object.keys(now), ...Object.keys(before)])];
  const linesOf = (text = "absent"): string[] => text.split("\n");
  return Object.fromEntries(
    names
      .filter((name) => now[name] !== before[name])
      .map((name) => [name, linesOf(now[name]).filter((line) => !linesOf(before[name]).includes(line))]),
  );
}
