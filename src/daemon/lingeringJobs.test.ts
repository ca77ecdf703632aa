import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeOn, listAll, makeJob } from "../../test/support/cgroupJobs.ts";
import {
  type CgroupMachine,
  FAKE_V1,
  FAKE_V2,
  fakeMachine,
  REAL_V1,
  REAL_V2,
} from "../../test/support/cgroupMachines.ts";
import { fakeV1, fakeV2 } from "../../test/support/fakeCgroups.ts";
import { SUCCESS, someJob } from "../../test/support/jobs.ts";
import { until } from "../../test/support/sandbox.ts";
import { recordExit } from "../jobs/exit/recordExit.ts";
import type { Job, RunningJob } from "../jobs/model/job.ts";
import { Ledger } from "../ledger/ledger.ts";
import { storeJobCgroup } from "../linux/cgroup/jobCgroup.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { DaemonEvents } from "./events.ts";
import { LingeringJobs } from "./lingeringJobs.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "processes that a job left behind", (it) => {
    it("keep its cgroup until the last one ends, which the kernel reports", async (machine) => {
      const before = listAll(machine);
      const { context, job, pids } = closedJob(machine, 2);
      const lingeringJobs = new LingeringJobs(context);
      lingeringJobs.cleanUp();
      const [first = 0, last = 0] = pids;
      await machine.end(first);
      // Long enough for the kernel to report the first exit, if it does.
      await Bun.sleep(200);
      expect(isCleanedUp(context.ledger.job(job.key))).toBe(false);
      await machine.end(last);
      await until("it is released", () => isCleanedUp(context.ledger.job(job.key)));
      expect(listAll(machine)).toEqual(before);
      lingeringJobs.stop();
    });

    it("are not missed when they end just before they are watched", async (machine) => {
      const { context, job, pids } = closedJob(machine, 1);
      const lingeringJobs = new LingeringJobs(context);
      lingeringJobs.scheduleCleanUp();
      await machine.end(pids[0] as number);
      await until("it is released", () => isCleanedUp(context.ledger.job(job.key)));
      lingeringJobs.stop();
    });
  });
}

for (const choice of [FAKE_V1, REAL_V1]) {
  describeOn(choice, "processes that a job left behind", (it) => {
    it("keep its cgroup until a clean-up after the last one ended, because no event reports it", async (machine) => {
      const before = listAll(machine);
      const { context, job, pids } = closedJob(machine, 1);
      const lingeringJobs = new LingeringJobs(context);
      lingeringJobs.cleanUp();
      await machine.end(pids[0] as number);
      expect(isCleanedUp(context.ledger.job(job.key))).toBe(false);
      await until("it is released", () => {
        lingeringJobs.cleanUp();
        return isCleanedUp(context.ledger.job(job.key));
      });
      expect(listAll(machine)).toEqual(before);
    });
  });
}

for (const version of [1, 2]) {
  const files = version === 1 ? ["cpuacct.usage", "cpuacct.usage_user"] : ["cpu.stat"];
  const text = (seconds: number): string =>
    version === 1 ? `${seconds}000000000` : `user_usec ${seconds}000000\nsystem_usec 0`;

  test(`their usage after the result is recorded as an event, and not in the result (cgroup v${version})`, async () => {
    const fake = version === 1 ? fakeV1() : fakeV2();
    await using machine = fakeMachine(fake);
    const setUsage = (paths: readonly string[], seconds: number): void => {
      const existing = paths
        .flatMap((path) => files.map((file) => `${path}/${file}`))
        .filter(machine.fs.exists);
      for (const file of existing) fake.set(file, text(seconds));
    };
    const { context, job, pids } = closedJob(machine, 1, (paths) => setUsage(paths, 3));
    const result = context.ledger.result(job);
    expect(result?.usage.cpuUserUsec).toBe(3_000_000);
    setUsage(
      job.cgroup.map(({ path }) => path),
      10,
    );
    await machine.end(pids[0] as number);
    new LingeringJobs(context).cleanUp();
    expect(context.ledger.result(job)).toEqual(result as NonNullable<typeof result>);
    expect(context.ledger.events(job)).toMatchObject([
      { kind: "left_behind", detail: { pids } },
      { kind: "last_gone", detail: { usage: { cpuUserUsec: 7_000_000 } } },
    ]);
  });
}

interface RecordedExit {
  context: DaemonContext;
  job: RunningJob;
  pids: number[];
}

/** A job that has ended, with some processes left in its cgroup. */
function closedJob(
  machine: CgroupMachine,
  count: number,
  beforeItsEnd: (paths: string[]) => void = () => {},
): RecordedExit {
  const ledger = new Ledger(join(directory, `${Bun.randomUUIDv7()}.db`), console.log);
  const { fs, hierarchies } = machine;
  const host = { cgroupFs: fs, now: Date.now, bootNow: Date.now };
  const postponed = { attempt: (work: () => void) => work() };
  const bus = new DaemonEvents();
  const context = { host, hierarchies, ledger, bus, postponed } as unknown as DaemonContext;
  const cgroup = makeJob(machine, {}, "ffrtmp-1f3a9c-left");
  const paths = cgroup.directories.map(({ path }) => path);
  const pids = Array.from({ length: count }, () => machine.start(...paths));
  const job = someJob({ jobId: "left", ...storeJobCgroup(cgroup) });
  ledger.register(job);
  beforeItsEnd(paths);
  expect(recordExit(context, job, SUCCESS).survivors).toEqual(pids);
  return { context, job, pids };
}

function isCleanedUp(job: Job | undefined): boolean {
  return job?.state === "ended" && job.cleanedUp;
}
