import { expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import {
  isRunning,
  isStopped,
  lacksLimits,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";
import { startDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
// Without a cgroup that measures the job, the background copy stays.
const handoverTest = testIf(lacksLimits());

/** A command that ends with this code when the file exists. */
function gated(box: Sandbox, code: number, gate = box.path("gate")): string[] {
  return ["sh", "-c", `while [ ! -e ${gate} ]; do sleep 0.02; done; exit ${code}`];
}

async function startInBackground(box: Sandbox, jobId: string, command: string[]): Promise<number> {
  const { code, stdout, stderr } = await box.run([
    "run",
    "-d",
    "--json",
    "--job-id",
    jobId,
    "--",
    ...command,
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { pid } = JSON.parse(stdout);
  box.adopt(pid);
  return pid;
}

/** Lists the background copies of ffrtmp that started a job of this sandbox. */
function copies(box: Sandbox): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const read = (file: string) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, "utf8");
        } catch {
          return "";
        }
      };
      return (
        read("cmdline").includes("--report-start") && read("environ").includes(`FFRTMP_STATE=${box.state}`)
      );
    })
    .filter((pid) => isRunning(pid));
}

async function observerOf(box: Sandbox, jobId: string): Promise<number | null> {
  return (await box.json(["inspect", jobId])).observer_pid;
}

for (const events of ["auto", "polling"]) {
  handoverTest(
    `a daemon observes what run -d starts, and no other process stays (--events ${events})`,
    async () => {
      const box = sandbox();
      const daemon = await startDaemon(box, ["--target", `none-${box.tag}`, "--events", events]);
      const pid = await startInBackground(box, "handed", gated(box, 17));
      await until(
        "the daemon observes the job",
        async () => (await observerOf(box, "handed")) === daemon.process.pid,
      );
      await until("the background copy has left", () => copies(box).length === 0);
      expect(readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[5]).toBe(String(pid));
      const follower = box.start(["logs", "-f", "handed"]);
      writeFileSync(box.path("gate"), "");
      expect(await box.resultOf("handed")).toMatchObject({ exit_code: 17, platform_sla_compliant: true });
      expect(await follower.exited).toBe(0);
      await until("its end is logged", () => /JOB handed \| .* exit=17 /.test(daemon.log()));
      const { result } = await box.json(["inspect", "handed"]);
      expect(["pidfd", "proc-event", "proc-stat"]).toContain(result.exit_evidence);
      expect(result.usage.cpu_user_seconds).not.toBeNull();
      expect(result.usage.memory_peak_bytes).not.toBeNull();
    },
  );
}

handoverTest("a job that ends at once has its exit code, whoever records it", async () => {
  const box = sandbox();
  await startDaemon(box);
  const codes = Array.from({ length: 10 }, (_, index) => index + 1);
  for (const code of codes)
    await box.run(["run", "-d", "--job-id", `brief-${code}`, "--", "sh", "-c", `exit ${code}`]);
  for (const code of codes) expect(await box.resultOf(`brief-${code}`)).toMatchObject({ exit_code: code });
});

handoverTest("a daemon that does not answer leaves the job with its background copy", async () => {
  const box = sandbox();
  const daemon = await startDaemon(box);
  daemon.process.kill("SIGSTOP");
  await until("every thread of the daemon is stopped", () => isStopped(daemon.process.pid));
  await startInBackground(box, "kept", gated(box, 3));
  const copy = await observerOf(box, "kept");
  expect(copies(box)).toEqual([copy as number]);
  daemon.process.kill("SIGKILL");
  writeFileSync(box.path("gate"), "");
  expect(await box.resultOf("kept")).toMatchObject({ exit_code: 3, exit_evidence: "parent" });
});

handoverTest("SIGKILL of the daemon after the handover leaves the job to the next daemon", async () => {
  const box = sandbox();
  const first = await startDaemon(box);
  const pid = await startInBackground(box, "left", gated(box, 5));
  await until("the copy has left", () => copies(box).length === 0);
  first.process.kill("SIGKILL");
  await first.process.exited;
  expect(isRunning(pid)).toBe(true);
  const second = await startDaemon(box);
  await until("the job is taken over", async () => (await observerOf(box, "left")) === second.process.pid);
  writeFileSync(box.path("gate"), "");
  expect(await box.resultOf("left")).toMatchObject({ exit_code: 5 });
});

handoverTest("SIGKILL of background copies and daemons at any instant loses no job", async () => {
  const box = sandbox();
  const jobs = Array.from({ length: 12 }, (_, index) => ({ jobId: `round-${index}`, code: index + 1 }));
  let daemon = await startDaemon(box);
  for (const [index, { jobId, code }] of jobs.entries()) {
    const started = box.run(["run", "-d", "--job-id", jobId, "--", ...gated(box, code)]);
    if (index % 2 === 0) {
      // The copy dies somewhere between its start and its leaving.
      await until("there is a copy", () => copies(box).length > 0 || index > 6, 500).catch(() => {});
      await Bun.sleep(index);
      for (const pid of copies(box)) process.kill(pid, "SIGKILL");
    } else if (index % 4 === 1) {
      await Bun.sleep(20 + 2 * index);
      daemon.process.kill("SIGKILL");
      await daemon.process.exited;
      daemon = await startDaemon(box);
    }
    await started;
  }
  const running = new Map<string, number>();
  for (const { jobId } of jobs) {
    // A copy that was killed before it had recorded the job has started nothing.
    const { code, stdout } = await box.run(["inspect", jobId, "--json"]);
    if (code !== 0) continue;
    const { state, pid } = JSON.parse(stdout);
    if (state === "ended") continue;
    await until(`${jobId} has an observer`, async () => {
      const { observer_pid: observer, state: now } = await box.json(["inspect", jobId]);
      return now === "ended" || (observer !== null && isRunning(observer));
    });
    running.set(jobId, pid);
    box.adopt(pid);
  }
  writeFileSync(box.path("gate"), "");
  expect(running.size).toBeGreaterThan(0);
  for (const { jobId, code } of jobs) {
    if (!running.has(jobId)) continue;
    expect(await box.resultOf(jobId)).toMatchObject({ job_id: jobId, exit_code: code });
  }
});

test("without a daemon the background copy stays", async () => {
  const box = sandbox();
  await startInBackground(box, "alone", gated(box, 0));
  expect(copies(box)).toEqual([(await observerOf(box, "alone")) as number]);
  writeFileSync(box.path("gate"), "");
  expect(await box.resultOf("alone")).toMatchObject({ exit_code: 0, exit_evidence: "parent" });
});
