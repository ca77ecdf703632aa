import { expect } from "bun:test";
import { resolve } from "node:path";
import type { ReuseReport, Row, Seen } from "../support/programs/pidReuse.ts";
import { FFRTMP, lacksCommand, lacksLimits, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const PLAY = resolve(import.meta.dir, "../support/programs/pidReuse.ts");
const OWN_PIDS = ["unshare", "--pid", "--fork", "--mount-proc"];

function lacksChoiceOfPids(): string | undefined {
  const missing = lacksLimits() ?? lacksCommand("unshare") ?? lacksCommand("perl");
  if (missing) return missing;
  const { exitCode } = Bun.spawnSync([...OWN_PIDS, "sh", "-c", "echo 100 > /proc/sys/kernel/ns_last_pid"]);
  return exitCode === 0 ? undefined : "needs to choose pids by /proc/sys/kernel/ns_last_pid";
}

function expectUntouched({ isAlive, cgroups, nice }: Seen): void {
  expect({ isAlive, nice }).toEqual({ isAlive: true, nice: 0 });
  expect(cgroups).not.toContain("ffrtmp-");
}

function jobsOf(jobs: Row[], pid: number, ticks: number): Row[] {
  return jobs.filter((job) => job.pid === pid && job.start_ticks === ticks);
}

testIf(lacksChoiceOfPids())("a process with a reused pid is not taken for the earlier process", async () => {
  const box = sandbox();
  const played = box.spawn([...OWN_PIDS, process.execPath, PLAY, FFRTMP, box.directory]);
  const [text, errors] = await Promise.all(
    [played.stdout, played.stderr].map((stream) => new Response(stream as ReadableStream).text()),
  );
  expect(errors).toBe("");
  const { stale, jobsBeforeNewTarget, newTarget, swapped, jobs, ...rest } = JSON.parse(
    text ?? "",
  ) as ReuseReport;

  // A stale job is recorded without an exit code. Neither recovery nor detach touches the new process.
  expectUntouched(stale);
  expect(jobsBeforeNewTarget).toMatchObject([
    { job_id: "stale", state: "ended", exit_code: null, signal: null },
  ]);
  expect(jobsBeforeNewTarget[0]?.exit_unknown_because).toBeTruthy();

  // A new process that the policy governs gets its own job, and the earlier job its own end.
  expect(newTarget.isAlive).toBe(true);
  expect(newTarget.cgroups).toContain("ffrtmp-");
  expect(jobsOf(jobs, newTarget.pid, newTarget.newTicks)).toMatchObject([{ state: "running" }]);
  expect(jobsOf(jobs, newTarget.pid, newTarget.oldTicks)).toMatchObject([
    { state: "ended", exit_code: null, signal: null },
  ]);

  // A bystander is never governed, whenever it gets the pid of a target.
  for (const seen of swapped) {
    expectUntouched(seen);
    expect(jobsOf(jobs, seen.pid, seen.newTicks)).toEqual([]);
    for (const job of jobsOf(jobs, seen.pid, seen.oldTicks)) {
      const signal = job.exit_unknown_because === null ? "SIGKILL" : null;
      expect(job).toMatchObject({ state: "ended", exit_code: null, signal });
    }
  }
  expect(rest.daemonsAlive).toEqual([true]);
  expect(rest.output).not.toMatch(/fault|\bat .*:\d+:\d+/);
});
