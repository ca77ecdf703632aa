import { expect, test } from "bun:test";
import { existsSync, openSync, readdirSync, readFileSync } from "node:fs";
import { realHost } from "../../src/linux/host.ts";
import { listPids, readArguments } from "../../src/linux/proc/table.ts";
import {
  eventually,
  FFRTMP,
  isRunning,
  lacksCommand,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const perlTest = testIf(lacksCommand("perl"));

const TICKER = ["sh", "-c", "while :; do echo tick; sleep 0.02; done"];

test("a workload keeps writing to its caller's file after SIGKILL of its wrapper", async () => {
  const path = sandbox().path("out");
  const { wrapper, pid } = await sandbox().startJob("writer", [], TICKER, { stdout: openSync(path, "w") });
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  await growth(path);
  expect(isRunning(pid)).toBe(true);
});

test("a workload keeps writing to its caller's pipe after SIGKILL of its wrapper", async () => {
  const path = sandbox().path("out");
  const script = '"$0" run --job-id piper -- sh -c "$1" | cat > "$2"';
  sandbox().spawn(["sh", "-c", script, FFRTMP, TICKER[2] as string, path], { stderr: "ignore" });
  const pid = await sandbox().pidOf("piper");
  sandbox().adopt(pid);
  const [{ observer_pid: wrapper }] = await sandbox().json(["ps"]);
  process.kill(wrapper, "SIGKILL");
  await until("the wrapper is dead", () => !isRunning(wrapper));
  await growth(path);
  expect(isRunning(pid)).toBe(true);
});

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  test(`the job keeps running after ${signal} to the wrapper, which prints how to find it and exits with ${code}`, async () => {
    const path = sandbox().path("stderr");
    const options = { stderr: openSync(path, "w") };
    const { wrapper, pid, jobId } = await sandbox().startJob("let-go", [], TICKER, options);
    wrapper.kill(signal);
    expect(await wrapper.exited).toBe(code);
    const stderr = readFileSync(path, "utf8");
    expect(stderr).toContain(signal);
    expect(stderr).toContain(`PID ${pid}`);
    expect(stderr).toContain(`ffrtmp attach --job ${jobId}`);
    expect(stderr).toContain(`kill -- -${pid}`);
    expect(isRunning(pid)).toBe(true);
    expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: jobId, pid, observer_pid: null }]);
  });
}

test("the limits of a job stay after SIGKILL of its wrapper", async () => {
  const { wrapper, pid, jobId } = await sandbox().startJob(
    "limited",
    ["--cpu-quota", "50", "--memory-limit", "300"],
    ["sleep", "1000"],
  );
  const before = await limitsOf(jobId, pid);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  expect(await limitsOf(jobId, pid)).toEqual(before);
  const { processes } = await sandbox().json(["inspect", jobId]);
  expect(processes).toEqual(before.files.length > 0 ? [pid] : []);
});

for (const [name, value] of [
  ["BUN_FEATURE_FLAG_NO_ORPHANS", "1"],
  ["BUN_OPTIONS", "--no-orphans"],
] as const) {
  test(`run refuses ${name}=${value}, with which the workload would be killed together with the wrapper`, async () => {
    const mark = sandbox().path("started");
    const command = ["run", "--", "touch", mark];
    const refused = await sandbox().run(command, { env: { [name]: value } });
    expect(refused.code).toBe(125);
    expect(refused.stderr).toContain(`env -u ${name}`);
    expect(existsSync(mark)).toBe(false);
    expect(await sandbox().json(["ps"])).toEqual([]);
  });
}

const MEASURED = 5;

/** The options of a launch that is planned each time, and of one that repeats an earlier launch. */
const LAUNCHES: Record<string, (jobId: string) => string[]> = {
  planned: (jobId) => ["--job-id", jobId, "--cpu-quota", "100", "--memory-limit", "300"],
  repeated: () => ["--cpu-quota", "100"],
};

for (const [kind, flags] of Object.entries(LAUNCHES))
  perlTest(
    `SIGKILL of a wrapper at any instant of its start ends no workload and leaves none unrecorded: ${kind}`,
    async () => {
      const startMarked = (box: Sandbox, jobId: string, mark: string) => startPerl(box, flags(jobId), mark);
      const rounds = Number(process.env["FFRTMP_TEST_ROUNDS"] ?? 100);
      const seed = Number(process.env["FFRTMP_TEST_SEED"] ?? Date.now() % 2 ** 31);
      const random = randomNumbers(seed);
      const spanMs = (await measureStart(sandbox(), startMarked)) * 1.5;
      console.log(
        `${rounds} rounds within ${spanMs.toFixed(1)} ms; again with the same delays: FFRTMP_TEST_SEED=${seed}`,
      );

      let started = 0;
      let inInbox = 0;
      for (let round = 0; round < rounds; round++) {
        const mark = sandbox().path(`round-${round}`);
        const delayMs = random() * spanMs;
        const wrapper = startMarked(sandbox(), `round-${round}`, mark);
        waitPrecisely(delayMs);
        wrapper.kill("SIGKILL");
        await wrapper.exited;
        inInbox += readdirSync(`${sandbox().state}/inbox`).length;

        const known = (await sandbox().json(["ps"])) as { job_id: string; pid: number }[];
        const living = findMarked(mark);
        for (const pid of living) sandbox().adopt(pid);
        const where = `round ${round}, killed after ${delayMs.toFixed(2)} ms`;
        expect({ where, known: known.map(({ pid }) => pid) }).toEqual({ where, known: living });
        if (living.length > 0) await until(`${where}: the workload has started`, () => readText(mark) !== "");
        // A workload that has started and does not run was ended, and not by this test.
        expect({ where, started: readText(mark) }).toEqual({ where, started: living.join() });
        started += living.length;
        for (const pid of living) process.kill(pid, "SIGKILL");
        await until("the workload has ended", () => living.every((pid) => !isRunning(pid)));
      }
      console.log(`${started} of ${rounds} wrappers had started their workload when they were killed`);
      // Only a launch that repeats another one is recorded there.
      expect(inInbox > 0).toBe(kind === "repeated");

      expect(await sandbox().json(["ps"])).toEqual([]);
      expect(sandbox().cgroups()).toEqual([]);
      const ended = (await sandbox().json(["history", "--limit", "1000000"])) as Record<string, unknown>[];
      expect(new Set(ended.map((result) => result["job_id"])).size).toBe(ended.length);
      const unobserved = ended.filter(({ exit_evidence: evidence }) => evidence !== "parent");
      // Those that were measured.
      expect(ended.length - unobserved.length).toBe(MEASURED);
      for (const result of unobserved) {
        // No ffrtmp process observed their end.
        expect(result).toMatchObject({ exit_code: null, signal: null, exit_evidence: null });
        expect(result["exit_unknown_because"]).toBeString();
      }
    },
  );

/** Starts a workload that writes its pid to a file and waits. */
function startPerl(box: Sandbox, flags: string[], mark: string): Bun.Subprocess {
  const script = "open my $f, '>', $ARGV[0]; print $f $$; close $f; sleep 1000";
  return box.start(["run", ...flags, "--", "perl", "-e", script, mark], {
    stdout: "ignore",
    stderr: "ignore",
  });
}

/** Measures the median time in ms from the wrapper's spawn to the workload's first write. */
async function measureStart(
  box: Sandbox,
  start: (box: Sandbox, jobId: string, mark: string) => Bun.Subprocess,
): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < MEASURED; round++) {
    const mark = box.path(`measure-${round}`);
    const startMs = performance.now();
    const wrapper = start(box, `measure-${round}`, mark);
    while (readText(mark) === "") Bun.sleepSync(1);
    times.push(performance.now() - startMs);
    process.kill(Number(readText(mark)), "SIGKILL");
    await wrapper.exited;
    await box.run(["ps"]);
  }
  return times.sort((a, b) => a - b)[(MEASURED - 1) / 2] as number;
}

function findMarked(mark: string): number[] {
  return listPids(realHost()).filter(
    (pid) => isRunning(pid) && readArguments(realHost(), pid).at(-1) === mark,
  );
}

/** Waits with more precision than the timers of the event loop, which count whole milliseconds. */
function waitPrecisely(ms: number): void {
  const startMs = performance.now();
  while (performance.now() - startMs < ms) Bun.sleepSync(0.1);
}

/** Returns a generator of pseudorandom numbers, mulberry32. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

async function growth(path: string): Promise<void> {
  const size = readFileSync(path).length;
  await eventually("more output arrives", () => (readFileSync(path).length > size + 20 ? true : undefined));
}

async function limitsOf(jobId: string, pid: number): Promise<{ membership: string; files: string[] }> {
  const { cgroups } = await sandbox().json(["inspect", jobId]);
  const names = ["cpu.cfs_quota_us", "cpu.max", "memory.soft_limit_in_bytes", "memory.high"];
  const files = (cgroups as string[]).flatMap((path) =>
    names.map((name) => `${path}/${name}`).filter((file) => existsSync(file)),
  );
  return {
    membership: readFileSync(`/proc/${pid}/cgroup`, "utf8"),
    files: files.map((file) => `${file} ${readFileSync(file, "utf8")}`),
  };
}
