import { beforeEach, expect } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { eventually, type Job, until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { atRoot } from "../support/vm/rootCgroup.ts";

const TOP = "/sys/fs/cgroup";
const MIB = 1 << 20;
const sandbox = useSandbox();

async function startAtRoot(jobId: string, flags: string[], command: string[]): Promise<Job> {
  const words = ["run", "--job-id", jobId, ...flags, "--", ...command];
  const wrapper = sandbox().spawn(atRoot(words), { stdout: "ignore", stderr: "ignore" });
  const pid = await sandbox().pidOf(jobId);
  sandbox().adopt(pid);
  return { jobId, wrapper, pid };
}

async function runAtRoot(
  flags: string[],
  command: string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = sandbox().spawn(atRoot(["run", ...flags, "--", ...command]));
  const text = (stream: Bun.Subprocess["stdout"]): Promise<string> =>
    new Response(stream as ReadableStream).text();
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await child.exited, stdout, stderr };
}

function directoryOf(pid: number): string {
  return `${TOP}${readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice("0::".length)}`;
}

function counter(directory: string, file: string, name: string): number {
  const line = readFileSync(join(directory, file), "utf8").match(new RegExp(`^${name} (\\d+)$`, "m"));
  return Number(line?.[1]);
}

/** A command that prints its own cgroup at once, then waits. */
const PRINT_CGROUP = ["sh", "-c", 'read line </proc/self/cgroup; echo "$line"; exec sleep 1000'];

/**
 * Enables cpuset as an operator can. ffrtmp does not on kernels where other processes would lose their CPUs.
 */
function enableCpusets(): void {
  writeFileSync(`${TOP}/cgroup.subtree_control`, "+cpuset");
}

// Container engines enable all controllers and leave them enabled. systemd takes a moment to disable its own ones below.
beforeEach(async () => {
  if (process.env["FFRTMP_VM"] === undefined) return;
  await until("no cgroup below the root uses io or cpuset", () => {
    try {
      writeFileSync(`${TOP}/cgroup.subtree_control`, "-io -cpuset");
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EBUSY") return false;
      throw error;
    }
  });
});

vmTest("a controller that was enabled at the root for a job is disabled at its end", async () => {
  const file = `${TOP}/cgroup.subtree_control`;
  const before = readFileSync(file, "utf8");
  expect(before).not.toContain("io");
  const { code } = await runAtRoot(["--io-max", "/ rbps=8M"], ["grep", "-w", "io", file]);
  expect(code).toBe(0);
  expect(readFileSync(file, "utf8")).toBe(before);
});

vmTest("--cpus of a job does not change the CPU affinity of other processes", async () => {
  const group = `${TOP}/ffrtmp-test-bound`;
  mkdirSync(group);
  const bound = sandbox().spawn(["taskset", "-c", "1", "sleep", "1000"], { stdout: "ignore" });
  const cpusOf = (pid: number): string | undefined =>
    /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  try {
    await until("taskset has set the CPU", () => cpusOf(bound.pid) === "1");
    writeFileSync(`${group}/cgroup.procs`, String(bound.pid));
    const { jobId } = await startAtRoot("chooser", ["--cpus", "0"], ["sleep", "1000"]);
    const { limits } = await sandbox().json(["inspect", jobId]);
    expect(cpusOf(bound.pid)).toBe("1");
    // 6.1 would reset the affinity of other processes, 6.12 does not.
    const expected = process.env["FFRTMP_VM"] === "6.1" ? "unsupported" : "applied";
    expect(limits).toMatchObject([{ limit: "cpuset.cpus", outcome: expected }]);
  } finally {
    bound.kill("SIGKILL");
    await bound.exited;
    rmdirSync(group);
  }
});

vmTest("all cgroup limits apply together, in the report and in the kernel's files", async () => {
  enableCpusets();
  const flags = [
    ...["--cpu-quota", "50", "--cpu-weight", "200", "--memory-limit", "64", "--memory-max", "128M"],
    ...["--io-max", "/ rbps=8M wbps=4M riops=500 wiops=400", "--pids-max", "32", "--cpus", "1"],
  ];
  const { jobId, pid } = await startAtRoot("all", flags, ["sleep", "1000"]);
  const { limits } = await sandbox().json(["inspect", jobId]);
  const disk = wholeDiskOf("/");
  expect(
    limits.map(({ limit, outcome, actual }: Record<string, string>) => `${limit} ${outcome} ${actual}`),
  ).toEqual([
    "cpu.max applied 50000 100000",
    "cpu.weight applied 200",
    `memory.high applied ${64 * MIB}`,
    `memory.max applied ${128 * MIB}`,
    `io.max applied ${disk} rbps=8388608 wbps=4194304 riops=500 wiops=400`,
    "pids.max applied 32",
    "cpuset.cpus applied 1",
  ]);
  const directory = directoryOf(pid);
  const readLimit = (file: string): string => readFileSync(join(directory, file), "utf8").trim();
  expect({
    cpu: readLimit("cpu.max"),
    weight: readLimit("cpu.weight"),
    high: readLimit("memory.high"),
    max: readLimit("memory.max"),
    group: readLimit("memory.oom.group"),
    io: readLimit("io.max"),
    pids: readLimit("pids.max"),
    cpus: readLimit("cpuset.cpus.effective"),
  }).toEqual({
    cpu: "50000 100000",
    weight: "200",
    high: String(64 * MIB),
    max: String(128 * MIB),
    group: "0",
    io: `${disk} rbps=8388608 wbps=4194304 riops=500 wiops=400`,
    pids: "32",
    cpus: "1",
  });
});

vmTest("a workload is in its cgroup before its first instruction", async () => {
  const output = sandbox().path("output");
  const { pid } = await startAtRoot(
    "born",
    ["--memory-max", "64M"],
    [...["sh", "-c", `exec >"$0"; ${PRINT_CGROUP[2]}`, output]],
  );
  await until(
    "the workload has written its cgroup",
    () => existsSync(output) && readFileSync(output, "utf8").endsWith("\n"),
  );
  const first = readFileSync(output, "utf8").trim();
  expect(first).toMatch(/\/ffrtmp-[0-9a-f]{6}-born$/);
  expect(`0::${directoryOf(pid).slice(TOP.length)}`).toBe(first);
});

vmTest("cpu.max limits a busy loop to its share, as cpu.stat counts it", async () => {
  const { pid } = await startAtRoot("busy", ["--cpu-quota", "30"], ["sh", "-c", "while :; do :; done"]);
  const directory = directoryOf(pid);
  const share = await eventually("the loop gets its share", async () => {
    const [startMs, startUsec] = [performance.now(), counter(directory, "cpu.stat", "usage_usec")];
    await Bun.sleep(6000);
    const used = (counter(directory, "cpu.stat", "usage_usec") - startUsec) / 1000;
    const measured = used / (performance.now() - startMs);
    // Time that the host takes from an emulated processor counts as use here. The next periods compensate for
    // it.
    expect(measured).toBeLessThan(0.42);
    return measured > 0.24 ? measured : undefined;
  });
  console.log(`CPU under a quota of 30 %: ${(share * 100).toFixed(1)} % of a core`);
  expect(counter(directory, "cpu.stat", "nr_throttled")).toBeGreaterThan(0);
});

vmTest("memory.high slows a workload that uses more, and never ends it", async () => {
  // Only little more than the limit. The delay grows with the excess, and from 5 % on 6.1 delays without end.
  const allocate = 'vec($m, 68e6, 8) = 1; print "whole\\n"';
  const { code, stdout, stderr } = await runAtRoot(
    ["--job-id", "soft", "--memory-limit", "64"],
    ["perl", "-e", allocate],
  );
  expect(stdout).toBe("whole\n");
  expect(code).toBe(0);
  expect(stderr).toContain("sla=COMPLIANT");
  const { result } = await sandbox().json(["inspect", "soft"]);
  expect(result.limits).toMatchObject([{ limit: "memory.high", outcome: "applied" }]);
  expect(result.usage).toMatchObject({ oom_kills: 0, memory_max_hits: 0 });
  expect(result.usage.memory_peak_bytes).toBeGreaterThan(64 * MIB);
  // The kernel delayed the workload instead of ending it.
  expect(result.usage.memory_pressure_seconds).toBeGreaterThan(0);
  console.log(`waiting for memory above memory.high: ${result.usage.memory_pressure_seconds} s`);
});

vmTest("the kernel kills a workload above memory.max, and the result names the limit", async () => {
  const { code, stderr } = await runAtRoot(
    ["--job-id", "greedy", "--memory-max", "64M"],
    ["perl", "-e", '$m = "x" x 200e6; print "whole\\n"'],
  );
  expect(code).toBe(137);
  expect(stderr).toMatch(
    /^JOB greedy \| outcome=killed \| sla=VIOLATION \| reason=killed_at_our_memory_cap \| .*exit=SIGKILL/m,
  );
  const { result } = await sandbox().json(["inspect", "greedy"]);
  expect(result.usage.oom_kills).toBe(1);
  expect(result.usage.memory_max_hits).toBeGreaterThan(0);
  expect(result.usage.memory_peak_bytes).toBeLessThanOrEqual(64 * MIB);
});

vmTest("memory.max kills one process and not the whole job", async () => {
  const script =
    "sleep 1000 & kept=$!; perl -e '$m = \"x\" x 200e6'; echo $?; kill -0 $kept && echo kept; kill $kept";
  const { code, stdout, stderr } = await runAtRoot(["--memory-max", "64M"], ["sh", "-c", script]);
  expect(stdout).toBe("137\nkept\n");
  expect(code).toBe(0);
  expect(stderr).toMatch(/sla=VIOLATION \| reason=killed_at_our_memory_cap \| .*exit=0/);
});

vmTest(
  "an OOM kill at a limit that the workload has set itself, in a cgroup below, is no violation",
  async () => {
    const script = [
      "own=/sys/fs/cgroup$(sed s/^0::// /proc/self/cgroup)",
      "mkdir $own/main $own/inner",
      "echo 0 >$own/main/cgroup.procs",
      "echo +memory >$own/cgroup.subtree_control",
      "echo 32M >$own/inner/memory.max",
      `(echo 0 >$own/inner/cgroup.procs; exec perl -e '$m = "x" x 100e6')`,
      "echo $?",
    ].join(" && ");
    const { stdout, stderr } = await runAtRoot(
      ["--job-id", "inner", "--memory-max", "128M"],
      ["sh", "-c", script.replace(" && echo $?", "; echo $?")],
    );
    expect(stdout).toBe("137\n");
    expect(stderr).toMatch(/^JOB inner \| outcome=succeeded \| sla=COMPLIANT/m);
    const { result } = await sandbox().json(["inspect", "inner"]);
    expect(result.usage).toMatchObject({ oom_kills: 1, memory_max_hits: 0 });
  },
);

for (const [place, what] of [
  ["/root", "a file system that is the whole disk"],
  ["/data", "a partition, for which the disk is limited"],
] as const) {
  vmTest(`io.max by path slows writes to ${what}`, async () => {
    const directory = mkdtempSync(join(place, "ffrtmp-test-"));
    try {
      const disk = wholeDiskOf(place);
      const { pid } = await startAtRoot(
        "writer",
        ["--io-max", `${directory} wbps=1048576`],
        [...["dd", "if=/dev/zero", `of=${directory}/file`, "bs=256k", "count=24", "oflag=direct"]],
      );
      expect(readFileSync(`${directoryOf(pid)}/io.max`, "utf8").trim()).toBe(
        `${disk} rbps=max wbps=1048576 riops=max wiops=max`,
      );
      const result = await sandbox().resultOf("writer");
      expect(result.exit_code).toBe(0);
      expect(result.usage.io_write_bytes).toBeGreaterThanOrEqual(24 * 256 * 1024);
      // 6 MiB at 1 MiB/s. No machine can be faster, and only the limit makes the writes wait.
      expect(result.processing_seconds).toBeGreaterThan(4.5);
      expect(result.usage.io_pressure_seconds).toBeGreaterThan(1);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}

vmTest("pids.max counts the workload's processes and refuses one more", async () => {
  const script =
    "while (@c < 9) { my $p = fork // last; $p or sleep 100; push @c, $p } print 1 + @c; kill 9, @c";
  const { stdout } = await runAtRoot(["--pids-max", "3"], ["perl", "-e", script]);
  expect(stdout).toBe("3");
});

vmTest("the workload runs on the CPUs of cpuset.cpus", async () => {
  enableCpusets();
  const { pid } = await startAtRoot("placed", ["--cpus", "1"], ["sleep", "1000"]);
  expect(readFileSync(`/proc/${pid}/status`, "utf8")).toMatch(/^Cpus_allowed_list:\s+1$/m);
});

/** Returns `major:minor` from another program than ffrtmp. */
function wholeDiskOf(path: string): string {
  const { dev } = statSync(path);
  const numbers = `${(dev >> 8) & 0xfff}:${dev & 0xff}`;
  const lsblk = Bun.spawnSync(["lsblk", "--noheadings", "--list", "--output", "MAJ:MIN,PKNAME,NAME"]);
  const rows = lsblk.stdout
    .toString()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const [, parent] = rows.find(([device, , name]) => device === numbers && name !== undefined) ?? [];
  return rows.find((row) => row.at(-1) === parent)?.[0] ?? numbers;
}
