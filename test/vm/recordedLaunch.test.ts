import { expect } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { FFRTMP, until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { type PlainCgroups, usePlainCgroups } from "../support/vm/plainCgroups.ts";
import { useUnits } from "../support/vm/units.ts";

// A `run` without systemd on cgroup v2 that repeats the steps of an earlier one, which recorded them.

const MIB = 1 << 20;
const sandbox = useSandbox();
const plain = usePlainCgroups();
const units = useUnits();

const LIMITS = "--cpu-quota 50 --cpu-weight 50 --memory-limit 64 --memory-max 128M --pids-max 32";
const LIMIT_TEXTS = ["50000 100000", "50", String(64 * MIB), String(128 * MIB), "32"];
/** Prints the job's cgroup and its limits. */
const SHOW = `sh -c 'd=/sys/fs/cgroup$(sed s/^0::// /proc/self/cgroup); echo $d
cat $d/cpu.max $d/cpu.weight $d/memory.high $d/memory.max $d/pids.max'`;

interface Launched {
  code: number;
  lines: string[];
  stderr: string;
  jobId: string;
  /** An earlier launch was repeated, instead of a plan by the full program. */
  isRepeated: boolean;
  /** The files that ffrtmp opened: the lines of strace. */
  calls: string;
}

/** The process that holds the mounts of each test, in which no systemd runs. A recorded launch depends on its mounts. */
const holders = new WeakMap<PlainCgroups, number>();

async function holderOf(cgroups: PlainCgroups): Promise<number> {
  const known = holders.get(cgroups);
  if (known !== undefined) return known;
  const hide = "mount -t tmpfs tmpfs /run/systemd && exec sleep 1000";
  const { pid } = sandbox().spawn(["unshare", "--mount", "sh", "-c", hide]);
  await until("systemd is hidden", () => readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "sleep");
  holders.set(cgroups, pid);
  return pid;
}

/** Starts a shell script in the caller's cgroup. */
async function start(cgroups: PlainCgroups, script: string): Promise<Bun.Subprocess> {
  const enter = `echo 0 >${cgroups.caller}/cgroup.procs && exec "$@"`;
  const inView = ["nsenter", "--mount", `--target=${await holderOf(cgroups)}`, "sh", "-ec"];
  return sandbox().spawn(["sh", "-c", enter, "sh", ...inView, `ffrtmp=${FFRTMP}; ${script}`]);
}

async function launch(cgroups: PlainCgroups, command = SHOW, limits = LIMITS): Promise<Launched> {
  const trace = sandbox().path("trace");
  const strace = `strace -qq -e trace=openat,clone3 -o ${trace}`;
  const child = await start(cgroups, `${strace} $ffrtmp run ${limits} -- ${command}`);
  const read = (stream: unknown): Promise<string> => new Response(stream as ReadableStream).text();
  const [stdout, stderr] = await Promise.all([read(child.stdout), read(child.stderr)]);
  const code = await child.exited;
  const jobId = /^JOB (\S+) /m.exec(stderr)?.[1] ?? "";
  const calls = await Bun.file(trace).text();
  return { code, lines: stdout.trim().split("\n"), stderr, jobId, isRepeated: isRepeated(calls), calls };
}

/** The full program opens the ledger before it starts a workload. A plain launch may do so after its end. */
function isRepeated(calls: string): boolean {
  const spawn = calls.indexOf("CLONE_INTO_CGROUP");
  const ledger = calls.indexOf("ledger.db");
  expect(spawn).toBeGreaterThan(0);
  return ledger < 0 || ledger > spawn;
}

function filesOf({ parent, caller, read }: PlainCgroups): string[] {
  return [parent, caller].flatMap((path) => [
    read(`${path}/cgroup.subtree_control`),
    read(`${path}/cgroup.type`),
  ]);
}

vmTest(
  "a repeated launch has the place, limits and outcomes of the recorded one, and leaves nothing",
  async () => {
    const cgroups = plain();
    const before = filesOf(cgroups);
    const first = await launch(cgroups);
    const second = await launch(cgroups);
    expect([first.isRepeated, second.isRepeated]).toEqual([false, true]);
    for (const { code, lines, jobId } of [first, second]) {
      expect(code).toBe(0);
      expect(dirname(lines[0] as string)).toBe(cgroups.parent);
      expect(basename(lines[0] as string)).toEndWith(`-${jobId}`);
      expect(lines.slice(1)).toEqual(LIMIT_TEXTS);
    }
    const [recorded, repeated] = await Promise.all(
      [first, second].map(({ jobId }) => sandbox().json(["inspect", jobId])),
    );
    expect(repeated.limits).toEqual(recorded.limits);
    expect(repeated.limits.map(({ outcome }: { outcome: string }) => outcome)).toEqual(
      Array(5).fill("applied"),
    );
    expect(Object.keys(repeated).sort()).toEqual(Object.keys(recorded).sort());
    expect(repeated.result.usage.memory_peak_bytes).toBeGreaterThan(0);
    expect(repeated.result.exit_code).toBe(0);
    expect(filesOf(cgroups)).toEqual(before);
    expect(cgroups.children()).toEqual(["caller"]);
  },
);

vmTest("a repeated launch writes no cgroup.subtree_control", async () => {
  const cgroups = plain();
  await launch(cgroups, "true");
  const { isRepeated, calls, code } = await launch(cgroups, "true");
  expect({ isRepeated, code }).toEqual({ isRepeated: true, code: 0 });
  expect(calls).toMatch(/memory\.max.*O_WRONLY/);
  expect(calls).not.toMatch(/subtree_control.*O_(WRONLY|RDWR)/);
});

vmTest(
  "limits that the caller's cgroup gets later are carried, although an earlier launch is recorded",
  async () => {
    const cgroups = plain();
    const carrierOf = ({ lines: [path = ""] }: Launched): string => dirname(path);
    const show = `sh -c 'd=/sys/fs/cgroup$(sed s/^0::// /proc/self/cgroup); echo $d; cat $d/../pids.max'`;
    for (const [pids, isRepeated] of [
      ["60", false],
      ["60", true],
      ["40", false],
      ["40", true],
    ] as const) {
      cgroups.write(`${cgroups.caller}/pids.max`, pids);
      const launched = await launch(cgroups, show, "--memory-max 128M");
      expect({ pids, isRepeated: launched.isRepeated, code: launched.code }).toEqual({
        pids,
        isRepeated,
        code: 0,
      });
      expect(dirname(carrierOf(launched))).toBe(cgroups.parent);
      expect(launched.lines[1]).toBe(pids);
    }
    cgroups.write(`${cgroups.caller}/pids.max`, "max");
    const free = await launch(cgroups, SHOW, "--memory-max 128M");
    expect(dirname(free.lines[0] as string)).toBe(cgroups.parent);
    expect(cgroups.children()).toEqual(["caller"]);
  },
);

vmTest("a controller that the cgroup above no longer gives is enabled for the next launch", async () => {
  const cgroups = plain();
  await launch(cgroups);
  cgroups.write(`${cgroups.parent}/cgroup.subtree_control`, "-pids -memory");
  const { lines, isRepeated } = await launch(cgroups);
  expect(isRepeated).toBe(false);
  expect(lines.slice(1)).toEqual(LIMIT_TEXTS);
  expect(cgroups.read(`${cgroups.parent}/cgroup.subtree_control`)).toBe("cpu io");
  expect(cgroups.children()).toEqual(["caller"]);
});

vmTest(
  "where the kernel gives no further cgroup, the job of a recorded launch is below its caller's",
  async () => {
    const cgroups = plain();
    cgroups.write(`${cgroups.caller}/pids.max`, "60");
    const show = "cat /proc/self/cgroup";
    await launch(cgroups, show, "--pids-max 30");
    // The carrier would be the second cgroup below the parent, the job's own the third.
    cgroups.write(`${cgroups.parent}/cgroup.max.descendants`, "2");
    const { lines, isRepeated, code } = await launch(cgroups, show, "--pids-max 30");
    expect({ isRepeated, code }).toEqual({ isRepeated: false, code: 0 });
    expect(lines[0]).toMatch(/\/caller\/ffrtmp-[0-9a-f]{6}-[^/]+$/);
    expect(cgroups.children()).toEqual(["caller"]);
    expect(cgroups.read(`${cgroups.caller}/cgroup.type`)).toBe("domain");
  },
);

vmTest("the kernel enforces the limits of a repeated launch", async () => {
  const cgroups = plain();
  cgroups.write(`${cgroups.caller}/memory.swap.max`, "0");
  const limits = "--memory-max 100M";
  const eater = `perl -e '$x = "x" x (300 << 20)'`;
  await launch(cgroups, "true", limits);
  const { code, isRepeated, jobId } = await launch(cgroups, eater, limits);
  expect({ code, isRepeated }).toEqual({ code: 128 + 9, isRepeated: true });
  const { result } = await sandbox().json(["inspect", jobId]);
  expect(result).toMatchObject({ signal: "SIGKILL", exit_code: null });
  expect(result.usage.oom_kills).toBe(1);
  expect(cgroups.children()).toEqual(["caller"]);
});

vmTest("what the workload of a repeated launch leaves behind keeps its cgroup until it ends", async () => {
  const cgroups = plain();
  await launch(cgroups, "true");
  const { code, isRepeated, stderr, jobId, lines } = await launch(
    cgroups,
    `sh -c 'sleep 1000 >/dev/null 2>&1 & echo $!'`,
  );
  expect({ code, isRepeated }).toEqual({ code: 0, isRepeated: true });
  const pid = Number(lines[0]);
  sandbox().adopt(pid);
  expect(stderr).toContain(String(pid));
  const [left] = cgroups.children().filter((name) => name !== "caller");
  expect(left).toEndWith(`-${jobId}`);
  expect(cgroups.read(`${cgroups.parent}/${left}/memory.max`)).toBe(String(128 * MIB));
  process.kill(pid, "SIGKILL");
  await until("the cgroup is removed", async () => {
    await sandbox().run(["watch", "--once", "--target", `none-${sandbox().tag}`]);
    return cgroups.children().length === 1;
  });
});

vmTest(
  "SIGKILL of a wrapper during a repeated start leaves nothing unrecorded, and no looser limit",
  async () => {
    const cgroups = plain();
    cgroups.write(`${cgroups.caller}/pids.max`, "60");
    const before = filesOf(cgroups);
    const limits = "--memory-max 128M";
    await launch(cgroups, "true", limits);
    let survived = 0;
    for (let n = 0; n < 12; n++) {
      const wrapper = await start(cgroups, `exec $ffrtmp run ${limits} -- sleep 1000`);
      // The instants differ; none is required to be inside of a certain step. The last ones are after the start.
      if (n < 10) await Bun.sleep(100 * (n + 1));
      else await until("the workload runs", () => hasWorkload(cgroups));
      wrapper.kill("SIGKILL");
      await wrapper.exited;
      const jobs: { state: string; pid: number }[] = await sandbox().json(["ps"]);
      const running = jobs.find(({ state }) => state === "running");
      const made = cgroups.children().filter((name) => name !== "caller");
      expect({ n, made: made.length }).toEqual({ n, made: running === undefined ? 0 : 1 });
      if (running === undefined) continue;
      survived++;
      const text = await Bun.file(`/proc/${running.pid}/cgroup`).text();
      const directory = `/sys/fs/cgroup${text.trim().slice("0::".length)}`;
      expect(cgroups.read(`${dirname(directory)}/pids.max`)).toBe("60");
      expect(cgroups.read(`${directory}/memory.max`)).toBe(String(128 * MIB));
      process.kill(running.pid, "SIGKILL");
      await until("the workload has ended", () =>
        cgroups.read(`${directory}/cgroup.events`).includes("populated 0"),
      );
      await sandbox().run(["ps"]);
    }
    expect(survived).toBeGreaterThan(0);
    expect(cgroups.children()).toEqual(["caller"]);
    expect(filesOf(cgroups)).toEqual(before);
  },
);

function hasWorkload({ parent, children, read }: PlainCgroups): boolean {
  const made = children().filter((name) => name !== "caller");
  return made.some((name) => read(`${parent}/${name}/cgroup.events`).includes("populated 1"));
}

vmTest(
  "each launch from a service has a scope of its own, and repeats the steps of an earlier one",
  async () => {
    const before = scopes();
    const unit = `ffrtmp-launches-${sandbox().tag}`;
    const traces = [0, 1, 2].map((n) => sandbox().path(`trace${n}`));
    const script = traces
      .map(
        (trace) => `strace -qq -e trace=openat,clone3,connect -o ${trace} ${FFRTMP} run ${LIMITS} -- ${SHOW}`,
      )
      .join("\n");
    const environment = `FFRTMP_STATE=${sandbox().state}`;
    const words = [
      "systemd-run",
      "--quiet",
      "--pipe",
      "--wait",
      "--collect",
      `--unit=${unit}`,
      "-E",
      environment,
    ];
    units.after(() => Bun.spawnSync(["systemctl", "stop", `${unit}.service`]));
    const child = sandbox().spawn([...words, "sh", "-ec", script]);
    const stdout = await new Response(child.stdout as ReadableStream).text();
    expect(await child.exited).toBe(0);
    const lines = stdout.trim().split("\n");
    expect(lines).toHaveLength(3 * (1 + LIMIT_TEXTS.length));
    const places = new Set<string>();
    for (let n = 0; n < 3; n++) {
      const [place = "", ...limits] = lines.slice(n * (1 + LIMIT_TEXTS.length));
      expect(place).toMatch(/^\/sys\/fs\/cgroup\/system\.slice\/(ffrtmp-[^/]+)\.scope\/\1$/);
      expect(limits.slice(0, LIMIT_TEXTS.length)).toEqual(LIMIT_TEXTS);
      places.add(place);
    }
    expect(places.size).toBe(3);
    const calls = traces.map((trace) => readFileSync(trace, "utf8"));
    expect(calls.map(isRepeated)).toEqual([false, true, true]);
    for (const each of calls) expect(each.match(/connect\([^\n]*systemd\/private/g)).toHaveLength(1);
    const jobs: { outcome: string; usage: { memory_peak_bytes: number } }[] = await sandbox().json([
      "history",
    ]);
    expect(jobs.map(({ outcome }) => outcome)).toEqual(Array(3).fill("succeeded"));
    for (const { usage } of jobs) expect(usage.memory_peak_bytes).toBeGreaterThan(0);
    // systemd removes an empty scope late.
    await until("no scope is left", () => Bun.deepEquals(scopes(), before));
  },
);

/** The scopes that hold a process. systemd 252 keeps one whose only process dies while the scope starts, and empty. */
function usedScopes(): string[] {
  return scopes().filter((name) => {
    try {
      return readFileSync(`/sys/fs/cgroup/system.slice/${name}/cgroup.events`, "utf8").includes(
        "populated 1",
      );
    } catch {
      return false;
    }
  });
}

vmTest("SIGKILL of a wrapper that enters its scope again leaves nothing unrecorded", async () => {
  const [all, before] = [scopes(), usedScopes()];
  units.after(() => {
    for (const name of scopes()) if (!all.includes(name)) Bun.spawnSync(["systemctl", "stop", name]);
  });
  const file = sandbox().path("pid");
  const startService = async (n: number, workload: string): Promise<void> => {
    const unit = `ffrtmp-killed-${sandbox().tag}-${n}`;
    units.after(() => Bun.spawnSync(["systemctl", "stop", `${unit}.service`]));
    const script = `echo $$ >${file}.new; mv ${file}.new ${file}; exec ${FFRTMP} run ${LIMITS} -- ${workload}`;
    const words = ["systemd-run", "--quiet", "--collect", `--unit=${unit}`, "-E"];
    rmSync(file, { force: true });
    // In a file: systemd replaces `$$` in the words of a command.
    writeFileSync(sandbox().path("script"), script);
    const command = ["sh", "-e", sandbox().path("script")];
    const child = sandbox().spawn([...words, `FFRTMP_STATE=${sandbox().state}`, ...command]);
    expect(await child.exited).toBe(0);
    await until("the wrapper runs", () => existsSync(file));
  };
  await startService(0, "true");
  await until("the first launch is recorded", async () => (await sandbox().json(["history"])).length === 1);
  let survived = 0;
  for (let n = 1; n <= 8; n++) {
    await startService(n, "sleep 1000");
    // The instants differ; none is required to be inside of a certain step. The last one is after the start.
    if (n < 8) await Bun.sleep(60 * n);
    else await until("the workload runs", async () => (await sandbox().json(["ps"]))[0]?.state === "running");
    const wrapper = Number(readFileSync(file, "utf8"));
    process.kill(wrapper, "SIGKILL");
    // While it lives, its job is its own.
    await until("the wrapper is gone", () => !existsSync(`/proc/${wrapper}`));
    const jobs: { state: string; pid: number; job_id: string }[] = await sandbox().json(["ps"]);
    const running = jobs.filter(({ state }) => state === "running");
    const names = running.map(({ job_id }) => `ffrtmp-${sandbox().tag}-${job_id}.scope`);
    await until("only recorded scopes are left", () =>
      Bun.deepEquals(
        usedScopes().filter((name) => !before.includes(name)),
        names,
      ),
    );
    survived += running.length;
    for (const { pid } of running) process.kill(pid, "SIGKILL");
    await until("their ends are recorded", async () => {
      await sandbox().run(["watch", "--once", "--target", `none-${sandbox().tag}`]);
      return (await sandbox().json(["ps"])).length === 0;
    });
    await until("no scope is left", () => Bun.deepEquals(usedScopes(), before));
  }
  expect(survived).toBeGreaterThan(0);
});

function scopes(): string[] {
  return readdirSync("/sys/fs/cgroup/system.slice").filter((name) => name.endsWith(".scope"));
}
