import { expect, test } from "bun:test";
import { openSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import {
  isRunning,
  isStopped,
  lacksLimits,
  readProc,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

// While `run` waits, it executes itself again, so that it holds nothing of the launch.

const sandbox = useSandbox();
const limitTest = testIf(lacksLimits());

const LIMIT = ["--cpu-quota", "50"];

/** A workload that ends when the test says so, with 7. */
function commandUntil(name: string): string[] {
  return ["sh", "-c", `while [ ! -e ${sandbox().path(name)} ]; do sleep 0.02; done; exit 7`];
}

/** Starts `ffrtmp run` and returns when it waits in its new start. */
async function startWaiting(flags: string[], command: string[], stdin?: number) {
  const options = ["run", ...flags, "--", ...command];
  const wrapper = sandbox().start(options, stdin === undefined ? {} : { stdin });
  await until("run waits in a new start", () => isWaiting(wrapper.pid));
  return wrapper;
}

/** Returns whether a process has executed itself to wait, and waits in the kernel. */
function isWaiting(pid: number): boolean {
  return readProc(pid, "environ").includes("FFRTMP_WAITING=") && holds(pid, "anon_inode:[signalfd]");
}

function holds(pid: number, target: string): boolean {
  return filesOf(pid).some((each) => each.includes(target));
}

function filesOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      // It was closed meanwhile.
      return [];
    }
  });
}

/** Runs a first launch, so that the next one with the same options is repeated from its record. */
async function recordLaunch(flags: string[]): Promise<void> {
  expect((await sandbox().run(["run", ...flags, "--", "true"])).code).toBe(0);
}

for (const launch of ["planned", "repeated"] as const) {
  const prepare = (): Promise<void> => (launch === "repeated" ? recordLaunch(LIMIT) : Promise.resolve());

  limitTest(
    `a ${launch} run waits with the signal filter, without a ledger and without other threads`,
    async () => {
      await prepare();
      const wrapper = await startWaiting(LIMIT, commandUntil("end"));
      expect(readdirSync(`/proc/${wrapper.pid}/task`)).toEqual([String(wrapper.pid)]);
      expect(readProc(wrapper.pid, "status")).toMatch(/^Seccomp:\s+2$/m);
      // By its name alone, others find the state directory. A ledger that is open has a log beside it.
      const ledgers = filesOf(wrapper.pid).filter((file) => file.includes("ledger.db"));
      expect(ledgers).toEqual(launch === "planned" ? [`${sandbox().state}/ledger.db`] : []);
      expect(holds(wrapper.pid, `${sandbox().state}/inbox/`)).toBe(launch === "repeated");
      const words = readProc(wrapper.pid, "cmdline").split("\0").slice(1, 5);
      expect(words).toEqual(["run", ...LIMIT, "--"]);
      writeFileSync(sandbox().path("end"), "");
      expect(await wrapper.exited).toBe(7);
      const [job] = await sandbox().json(["history"]);
      expect(job).toMatchObject({ exit_code: 7, platform_sla_reason: "ended_with_error" });
      expect(sandbox().cgroups()).toEqual([]);
    },
  );

  limitTest(`a ${launch} run that waits reports a signal of its workload, and the CPU time`, async () => {
    await prepare();
    const spin = `i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; ${commandUntil("end")[2]?.replace("exit 7", () => "kill -SEGV $$")}`;
    const wrapper = await startWaiting(LIMIT, ["sh", "-c", spin]);
    writeFileSync(sandbox().path("end"), "");
    expect(await wrapper.exited).toBe(128 + 11);
    const [job] = await sandbox().json(["history"]);
    expect(job).toMatchObject({ exit_code: null, signal: "SIGSEGV", outcome: "killed" });
    const { result } = await sandbox().json(["inspect", job.job_id]);
    expect(result.usage.cpu_user_seconds).toBeGreaterThan(0);
    expect(result.usage.memory_peak_bytes).toBeGreaterThan(0);
  });

  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    limitTest(`a ${launch} run that waits leaves its job at ${signal}, which keeps running`, async () => {
      await prepare();
      const wrapper = await startWaiting(LIMIT, commandUntil("end"));
      const [{ pid }] = await sandbox().json(["ps"]);
      sandbox().adopt(pid);
      wrapper.kill(signal);
      expect(await wrapper.exited).toBe(code);
      expect(isRunning(pid)).toBe(true);
      const { events } = await sandbox().json(["inspect", (await sandbox().json(["ps"]))[0].job_id]);
      expect(JSON.stringify(events)).toContain(signal);
    });
  }

  limitTest(
    `a ${launch} run that was stopped while its workload ended knows no time of the end`,
    async () => {
      await prepare();
      const wrapper = await startWaiting(LIMIT, commandUntil("end"));
      const [{ pid, job_id: jobId }] = await sandbox().json(["ps"]);
      wrapper.kill("SIGSTOP");
      await until("it is stopped", () => isStopped(wrapper.pid));
      writeFileSync(sandbox().path("end"), "");
      await until("the workload has ended", () => !isRunning(pid));
      wrapper.kill("SIGCONT");
      expect(await wrapper.exited).toBe(7);
      const { result } = await sandbox().json(["inspect", jobId]);
      expect(result).toMatchObject({ exit_code: 7, ended_before: expect.any(String) });
    },
  );

  limitTest(`a ${launch} run that waits reports the processes that its workload left`, async () => {
    await prepare();
    const command = commandUntil("end")[2] ?? "";
    const wrapper = await startWaiting(LIMIT, ["sh", "-c", `setsid sleep 1000 >/dev/null 2>&1 & ${command}`]);
    writeFileSync(sandbox().path("end"), "");
    const stderr = await new Response(wrapper.stderr as ReadableStream).text();
    expect(await wrapper.exited).toBe(7);
    expect(stderr).toContain("left processes running: PID");
    expect(stderr.match(/outcome=/g)).toHaveLength(1);
    const [job] = await sandbox().json(["history"]);
    expect(job).toMatchObject({ exit_code: 7, outcome: "failed" });
    expect(sandbox().cgroups().length).toBeGreaterThan(0);
  });

  limitTest(`limits that an operator sets while a ${launch} run waits are those of the result`, async () => {
    await prepare();
    const wrapper = await startWaiting(LIMIT, commandUntil("end"));
    const [{ job_id: jobId }] = await sandbox().json(["ps"]);
    expect((await sandbox().run(["limits", "set", jobId, "--cpu-quota", "40"])).code).toBe(0);
    writeFileSync(sandbox().path("end"), "");
    expect(await wrapper.exited).toBe(7);
    const { result, limits } = await sandbox().json(["inspect", jobId]);
    expect(result.exit_code).toBe(7);
    expect(JSON.stringify(limits)).toContain("40000");
    expect(sandbox().cgroups()).toEqual([]);
  });
}

test("files that the caller has opened stay open, as a lock does", async () => {
  writeFileSync(sandbox().path("lock"), "");
  const lock = openSync(sandbox().path("lock"), "r");
  const command = `exec 9<${sandbox().path("lock")}; exec "$0" "$@"`;
  const { FFRTMP } = await import("../support/sandbox.ts");
  const wrapper = sandbox().spawn(["sh", "-c", command, FFRTMP, "run", "--", ...commandUntil("end")], {
    stdin: lock,
  });
  await until("run waits in a new start", () => isWaiting(wrapper.pid));
  expect(readlinkSync(`/proc/${wrapper.pid}/fd/9`)).toBe(sandbox().path("lock"));
  writeFileSync(sandbox().path("end"), "");
  expect(await wrapper.exited).toBe(7);
});

test("run --json prints the result after it has waited in a new start", async () => {
  const wrapper = await startWaiting(["--json"], commandUntil("end"));
  writeFileSync(sandbox().path("end"), "");
  const stderr = await new Response(wrapper.stderr as ReadableStream).text();
  expect(await wrapper.exited).toBe(7);
  expect(JSON.parse(stderr)).toMatchObject({ exit_code: 7 });
});

test("a run with a result file waits with the directory open, and writes the file", async () => {
  const path = sandbox().path("result.json");
  const wrapper = sandbox().start(["run", "--result-file", path, "--", ...commandUntil("end")]);
  await until("it has the filter", () => /^Seccomp:\s+2$/m.test(readProc(wrapper.pid, "status")));
  expect(readProc(wrapper.pid, "environ")).not.toContain("FFRTMP_WAITING=");
  writeFileSync(sandbox().path("end"), "");
  expect(await wrapper.exited).toBe(7);
  expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ exit_code: 7 });
});
