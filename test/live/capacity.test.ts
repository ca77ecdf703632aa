import { expect } from "bun:test";
import { Ledger } from "../../src/ledger/ledger.ts";
import { locateState } from "../../src/ledger/location.ts";
import { UNKNOWN_COUNTERS } from "../../src/limits/counters.ts";
import { encodeHistory } from "../../src/metrics/history/encoding.ts";
import { COUNTS, type Point } from "../../src/metrics/history/points.ts";
import { PolicyBox } from "../support/policyBox.ts";
import { countCpus } from "../support/realCgroups.ts";
import { lacksLimits, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

const POINT_MS = 10_000;
const POINTS = 40;
const UNKNOWN = Object.fromEntries(COUNTS.map((name) => [name, null])) as Point["counts"];

/** Records that watch has measured a job for 400 s, in which it used these cores evenly. */
function recordUse(jobId: string, cores: number, speedPermille?: number): void {
  const ledger = new Ledger(locateState(sandbox().state, {}).ledger, () => {});
  const [job] = ledger.jobsNamed(jobId);
  if (job === undefined) throw new Error(`no job ${jobId}`);
  const speed = speedPermille === undefined ? null : { min: speedPermille, max: speedPermille };
  const points = Array.from({ length: POINTS }, (_, index) => ({
    startMs: POINT_MS * index,
    endMs: POINT_MS * (index + 1),
    counts: { ...UNKNOWN, cpuUsec: cores * POINT_MS * 1000 },
    gauges: { memoryBytes: null, processCount: null, speedPermille: speed, sendBacklogMs: null },
  }));
  const last = { atBootMs: POINT_MS * POINTS, counters: UNKNOWN_COUNTERS };
  const at = { wallMs: Date.now(), bootMs: POINT_MS * POINTS };
  expect(ledger.recordUsageHistory(job, encodeHistory({ pointMs: POINT_MS, points, last, at }))).toBe(
    "recorded",
  );
  ledger.close();
}

const capacity = (...args: string[]) => sandbox().json(["capacity", ...args]);
const boundOf = (answer: { bounds: { kind: string; fits: number }[] }, kind: string) =>
  answer.bounds.find((bound) => bound.kind === kind);

limitsTest("capacity says what it does not know, and what would help, and exits with 0", async () => {
  await sandbox().startJob("live", ["--intent", "live"], ["sleep", "600"]);
  const { code, stdout } = await sandbox().run(["capacity"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^It is not known how many more streams fit\.\n/);
  expect(stdout).toMatch(/^not known +live is not measured: let ffrtmp watch observe it for 4 minutes$/m);
  expect(await capacity()).toMatchObject({ fits: null, binding: null, bounds: [], streams: ["live"] });
});

limitsTest("capacity refuses a name that is neither a job nor a rule", async () => {
  await sandbox().startJob("live", [], ["sleep", "600"]);
  const { code, stderr } = await sandbox().run(["capacity", "--like", "nothing"]);
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /no job has the id nothing, and none .* rule with that name, in .*ledger\.db\n {2}try: /,
  );
});

limitsTest(
  "capacity counts streams that run, leaves out batch, and answers about ended jobs too",
  async () => {
    for (const id of ["live-1", "live-2"])
      await sandbox().startJob(id, ["--intent", "live", "--cpu-weight", "10000"], ["sleep", "600"]);
    await sandbox().startJob("encode", ["--intent", "batch"], ["sleep", "600"]);
    const { code } = await sandbox().run(["run", "--job-id", "earlier", "--", "true"]);
    expect(code).toBe(0);
    recordUse("live-1", 0.2);
    recordUse("live-2", 0.3);
    recordUse("encode", countCpus());
    recordUse("earlier", 0.5);

    const rest = 0.9 * countCpus() - 0.5;
    const answer = await capacity();
    expect(answer).toMatchObject({
      // The largest one that runs.
      like: "live-2",
      streams: ["live-1", "live-2"],
      candidate: { cores: 0.3, samples: POINTS, sample_seconds: 10, is_estimate: true },
      running: { cores: 0.5, is_sum_of_peaks: false },
    });
    expect(boundOf(answer, "cores")?.fits).toBe(Math.floor(rest / 0.3 + 1e-6));
    const like = await capacity("--like", "earlier");
    expect(like).toMatchObject({ like: "earlier", candidate: { cores: 0.5 } });
    expect(boundOf(like, "cores")?.fits).toBe(Math.floor(rest / 0.5 + 1e-6));
    // The least of all bounds.
    expect(like.fits).toBe(Math.min(...like.bounds.map(({ fits }: { fits: number }) => fits)));
    const { stdout } = await sandbox().run(["capacity", "--like", "earlier"]);
    expect(stdout).toMatch(
      /^each more +0\.50 cores in a busy second \(40 samples of 10 s: an estimate from means\)$/m,
    );
    expect(stdout).toMatch(/^running +2 streams, 0\.50 cores in a busy second/m);
  },
);

limitsTest("capacity takes no stream as an example that was too slow to show what it needs", async () => {
  expect((await sandbox().run(["run", "--job-id", "slow", "--", "true"])).code).toBe(0);
  recordUse("slow", 0.2, 800);
  const answer = await capacity("--like", "slow");
  expect(answer).toMatchObject({ fits: null, candidate: null });
  expect(answer.unknown).toEqual([
    "slow was slower than real time in most of its samples, and used less than it needs: name a job that kept up with --like",
  ]);
});

limitsTest("capacity knows the total of a tenant, and the jobs of a rule", async () => {
  const box = new PolicyBox(sandbox());
  const shell = box.shell("enc");
  const name = shell.slice(shell.lastIndexOf("/") + 1);
  box.write(`
rules: [{name: channels, match: {command: ${name}}, tenant: acme}]
tenants: {acme: {cpu_quota: 60}}
`);
  await box.run(shell, {}, "while :; do sleep 0.1; done");
  const watched = await sandbox().run([
    ...["watch", "--once", "--watch-config", box.file, "--target", `none-${sandbox().tag}`],
  ]);
  expect(watched.code).toBe(0);
  const [job] = await sandbox().json(["ps"]);
  recordUse(job.job_id, 0.25);
  const answer = await capacity("--like", "channels");
  expect(answer).toMatchObject({ like: "rule channels", candidate: { cores: 0.25 } });
  expect(boundOf(answer, "tenant")).toMatchObject({ limit_cores: 0.6, used_cores: 0.25, fits: 1 });
  expect(answer.fits).toBeLessThanOrEqual(1);
});
