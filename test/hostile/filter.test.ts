import { expect } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename } from "node:path";
import { WRITABLE_FILES } from "../../src/linux/writableFiles.ts";
import {
  FFRTMP,
  isRunning,
  lacksCommand,
  lacksLimits,
  lacksRoot,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const test = testIf(undefined);
const rootTest = testIf(lacksRoot());
const straceTest = testIf(lacksCommand("strace") ?? lacksLimits());

const DAC_OVERRIDE = 1;
const KILL = 5;
const NET_ADMIN = 12;
const SYS_PTRACE = 19;
const SYS_NICE = 23;
const SYS_RESOURCE = 24;
const KEPT = [DAC_OVERRIDE, NET_ADMIN, SYS_PTRACE, SYS_NICE, SYS_RESOURCE];

interface Rights {
  seccomp: string;
  noNewPrivs: string;
  permitted: string;
  effective: string;
}

/** Reads the rights of every thread. */
function rightsOf(pid: number): Rights[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((tid) => {
    try {
      return [parseRights(readFileSync(`/proc/${pid}/task/${tid}/status`, "utf8"))];
    } catch {
      return [];
    }
  });
}

function parseRights(status: string): Rights {
  const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)$`, "m").exec(status)?.[1] ?? "";
  return {
    seccomp: field("Seccomp"),
    noNewPrivs: field("NoNewPrivs"),
    permitted: field("CapPrm"),
    effective: field("CapEff"),
  };
}

function bits(set: string): number[] {
  return Array.from({ length: 64 }, (_, bit) => bit).filter(
    (bit) => (BigInt(`0x${set}`) >> BigInt(bit)) & 1n,
  );
}

/** Waits until every thread has the filter. A thread can start or end meanwhile. */
async function untilFiltered(pid: number, minThreads = 2): Promise<Rights[]> {
  const hasFilter = () =>
    rightsOf(pid).length >= minThreads && rightsOf(pid).every(({ seccomp }) => seccomp === "2");
  await until(`every thread of ${pid} has the filter`, hasFilter);
  return rightsOf(pid);
}

function startSleeper(box: Sandbox, ...wrapper: string[]): number {
  return box.spawn([...wrapper, "sleep", "600"], { stdout: "ignore", stderr: "ignore" }).pid;
}

const own = parseRights(readFileSync("/proc/self/status", "utf8"));
const keptHere = bits(own.permitted).filter((bit) => KEPT.includes(bit));

rootTest("the daemon has the filter in every thread, and only the capabilities that it needs", async () => {
  const box = sandbox();
  expect(bits(own.permitted)).toContain(KILL);
  const { pid } = box.start(["watch", "--target", `none-${box.tag}`], { stdout: "ignore", stderr: "ignore" });
  for (const { seccomp, noNewPrivs, permitted, effective } of await untilFiltered(pid)) {
    expect([seccomp, noNewPrivs]).toEqual(["2", "1"]);
    expect(bits(permitted)).toEqual(keptHere);
    expect(bits(effective)).toEqual(keptHere);
  }
});

rootTest(
  "a daemon of another user keeps the capabilities that its unit gave it, as far as it needs them",
  async () => {
    const box = sandbox();
    const state = mkdtempSync("/tmp/ffrtmp-test-");
    chmodSync(state, 0o777);
    const capabilities = "+sys_nice,+kill,+dac_override";
    const user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const rights = ["--inh-caps", capabilities, "--ambient-caps", capabilities];
    const command = [FFRTMP, "watch", "--target", `none-${box.tag}`, "--state-path", `${state}/state`];
    try {
      const { pid } = box.spawn([...user, ...rights, ...command], { stdout: "ignore", stderr: "ignore" });
      for (const { effective } of await untilFiltered(pid))
        expect(bits(effective)).toEqual([DAC_OVERRIDE, SYS_NICE]);
      process.kill(pid, "SIGTERM");
      await until("the daemon has ended", () => !isRunning(pid));
    } finally {
      rmSync(state, { recursive: true, force: true });
    }
  },
);

rootTest("attach has both too, and still governs a process of another user", async () => {
  const box = sandbox();
  const other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  const victim = startSleeper(box, ...other);
  await until("the process sleeps", () => readFileSync(`/proc/${victim}/comm`, "utf8") === "sleep\n");
  const flags = ["--cpu-quota", "50", "--nice", "3", "--ionice", "idle", "--oom-score-adj", "300"];
  const args = ["attach", "--pid", String(victim), "--job-id", "other", ...flags];
  const { pid } = box.start(args, { stdout: "ignore", stderr: "ignore" });
  for (const { noNewPrivs, permitted } of await untilFiltered(pid)) {
    expect(noNewPrivs).toBe("1");
    expect(bits(permitted)).toEqual(keptHere);
  }
  const { limits } = await box.json(["inspect", "other"]);
  const outcomes = Object.fromEntries(
    limits.map(({ limit, outcome }: { limit: string; outcome: string }) => [limit, outcome]),
  );
  expect(outcomes).toMatchObject({ nice: "applied", ionice: "applied", oom_score_adj: "applied" });
  expect(readFileSync(`/proc/${victim}/oom_score_adj`, "utf8")).toBe("300\n");
});

test("run installs the filter after the spawn, and its workload has neither filter nor fewer rights", async () => {
  const box = sandbox();
  const { wrapper, pid } = await box.startJob("filtered", [], ["sleep", "600"]);
  for (const { noNewPrivs } of await untilFiltered(wrapper.pid, 1)) expect(noNewPrivs).toBe("1");
  expect(rightsOf(pid)).toEqual([own]);
  // A process that the workload starts later is free too.
  expect(parseRights(readFileSync(`/proc/${pid}/status`, "utf8"))).toEqual(own);
});

straceTest(
  "attach opens nothing for writing but its ledger, memberships, limits and OOM scores",
  async () => {
    const box = sandbox();
    const victim = startSleeper(box);
    const output = box.path("trace");
    const flags = ["--cpu-quota", "50", "--memory-max", "100M", "--pids-max", "10", "--oom-score-adj", "200"];
    const args = [FFRTMP, "attach", "--pid", String(victim), "--job-id", "traced", ...flags];
    const calls = "trace=open,openat,openat2,creat";
    const traced = box.spawn(["strace", "-f", "-qq", "-e", calls, "-o", output, ...args], {
      stderr: "ignore",
    });
    await until("the process is governed", async () =>
      (await box.run(["inspect", "traced"])).stdout.includes("running"),
    );
    process.kill(victim, "SIGKILL");
    expect(await traced.exited).toBe(0);
    const opened = readFileSync(output, "utf8")
      .split("\n")
      .filter((line) => /O_WRONLY|O_RDWR|creat\(/.test(line))
      .map((line) => /"([^"]*)"/.exec(line)?.[1] ?? line);
    const isExpected = (path: string) =>
      path === "/dev/null" ||
      path.startsWith(`${box.state}/`) ||
      path === `/proc/${victim}/oom_score_adj` ||
      (path.startsWith("/sys/fs/cgroup/") && WRITABLE_FILES.includes(basename(path)));
    expect(
      opened.some((path) => path.endsWith("/memory.limit_in_bytes") || path.endsWith("/memory.max")),
    ).toBe(true);
    expect(opened.filter((path) => !isExpected(path))).toEqual([]);
  },
);

rootTest("the second start has the descriptors of the first, and no others", async () => {
  const box = sandbox();
  writeFileSync(box.path("lock"), "");
  const script = `exec 3<'${box.path("lock")}' 7<'${box.path("lock")}' 12<'${box.path("lock")}'; exec "$@"`;
  const command = [FFRTMP, "watch", "--target", `none-${box.tag}`];
  const { pid } = box.spawn(["bash", "-c", script, "bash", ...command], {
    stdout: "ignore",
    stderr: "ignore",
  });
  await untilFiltered(pid);
  for (const fd of [3, 7, 12]) expect(readlinkSync(`/proc/${pid}/fd/${fd}`)).toBe(box.path("lock"));
  // One epoll set of the event loop of each thread, and the event thread's own, as without a second start.
  const threads = readdirSync(`/proc/${pid}/task`).map((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/comm`, "utf8"),
  );
  const withLoop = threads.filter((name) => name.startsWith("ffrtmp"));
  const targets = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  const loops = targets.filter((target) => target === "anon_inode:[eventpoll]").length;
  expect(loops).toBeLessThanOrEqual(withLoop.length + 1);
});

rootTest("a daemon whose executable was removed reports that it keeps its rights, and works on", async () => {
  const box = sandbox();
  const copy = box.path("ffrtmp");
  copyFileSync(FFRTMP, copy);
  const script = `exec 9<'${copy}'; rm '${copy}'; exec /proc/self/fd/9 "$@"`;
  const args = ["watch", "--once", "--target", `none-${box.tag}`];
  const child = box.spawn(["sh", "-c", script, "sh", ...args], { stdout: "ignore" });
  const stderr = await new Response(child.stderr as ReadableStream).text();
  expect(await child.exited).toBe(0);
  expect(stderr).toContain("cannot give up the capabilities that ffrtmp does not need (cannot execute");
  expect(stderr).toContain("Watching for");
});

test("a second start that has all rights again is reported, and is the last one", async () => {
  const box = sandbox();
  const env = { FFRTMP_RESTARTED: "1" };
  const { code, stderr } = await box.run(["watch", "--once", "--target", `none-${box.tag}`], { env });
  expect(code).toBe(0);
  const reported = stderr.includes("cannot give up the capabilities that ffrtmp does not need");
  expect(reported).toBe(bits(own.permitted).some((bit) => !KEPT.includes(bit)));
});

rootTest("doctor says what attach and watch give up, and without rights that there is nothing", async () => {
  const box = sandbox();
  const checks: { name: string; works: boolean; found: string }[] = await box.json(["doctor"]);
  const found = (name: string) => checks.find((check) => check.name === name);
  expect(found("signal filter")?.found).toContain("signal other processes");
  expect(found("capabilities")).toMatchObject({ works: true });
  expect(found("capabilities")?.found).toContain("CAP_DAC_OVERRIDE");
  const unprivileged = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  const state = mkdtempSync("/tmp/ffrtmp-test-");
  chmodSync(state, 0o777);
  try {
    const { stdout } = Bun.spawnSync([...unprivileged, FFRTMP, "doctor", "--json", "--state-path", state]);
    const without = JSON.parse(stdout.toString()).find(
      (check: { name: string }) => check.name === "capabilities",
    );
    expect(without).toMatchObject({ works: true, found: "attach and watch keep none" });
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
});
