import { afterAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeOn, listAll, makeJob } from "../../../test/support/cgroupJobs.ts";
import { FAKE_V2, REAL_V2 } from "../../../test/support/cgroupMachines.ts";
import { someJob, someProcess, someResult } from "../../../test/support/jobs.ts";
import { Ledger } from "../../ledger/ledger.ts";
import { storeJobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import type { Context } from "../context.ts";
import type { EndedJob, RunningJob } from "../model/job.ts";
import { jobCgroupOf, usageOf } from "../placement/jobCgroup.ts";
import { cleanUpEnded } from "./recordExit.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "of several jobs in one cgroup", (it) => {
    it("the last one disables the controllers that the first one enabled", (machine) => {
      const ledger = new Ledger(join(directory, `${Bun.randomUUIDv7()}.db`), console.log);
      const { fs, hierarchies } = machine;
      const context = { host: { cgroupFs: fs }, hierarchies, ledger } as unknown as Context;
      const shared = () => ledger.sharedChanges();
      const before = listAll(machine);
      const jobs = ["one", "two", "three"].map((jobId, index) => {
        const cgroup = makeJob(machine, { cpuWeight: 50 }, `ffrtmp-1f3a9c-${jobId}`, machine.origin, shared);
        const job = someJob({
          jobId,
          process: someProcess({ pid: 4000 + index }),
          ...storeJobCgroup(cgroup),
        });
        ledger.register(job);
        return job;
      });
      const during = listAll(machine);
      for (const job of jobs.slice(0, 2)) {
        const current = end(ledger, ledger.refresh(job));
        expect(cleanUpEnded(context, current, jobCgroupOf(context, current))).toEqual([]);
      }
      expect(during).not.toEqual(before);
      const [last] = ledger.jobsNamed("three");
      if (last?.state !== "running") throw new Error("the third job is recorded as running");
      cleanUpEnded(context, end(ledger, last), jobCgroupOf(context, last));
      expect(listAll(machine)).toEqual(before);
    });

    it("one without limits keeps the controllers that measure it when another one ends", (machine) => {
      const { fs, hierarchies } = machine;
      const ledger = new Ledger(join(directory, `${Bun.randomUUIDv7()}.db`), console.log);
      const context = { host: { cgroupFs: fs }, hierarchies, ledger } as unknown as Context;
      const shared = () => ledger.sharedChanges();
      const [gone, left] = ["one", "two"].map((jobId, index) => {
        const cgroup = makeJob(machine, {}, `ffrtmp-1f3a9c-${jobId}`, machine.origin, shared);
        const job = someJob({
          jobId,
          process: someProcess({ pid: 4000 + index }),
          ...storeJobCgroup(cgroup),
        });
        ledger.register(job);
        return job;
      }) as [RunningJob, RunningJob];
      const measured = usageOf(left, jobCgroupOf(context, left));
      expect(measured.memoryPeakBytes).not.toBeNull();
      expect(cleanUpEnded(context, end(ledger, gone), jobCgroupOf(context, gone))).toEqual([]);
      expect(usageOf(left, jobCgroupOf(context, left))).toEqual(measured);
    });
  });
}

function end(ledger: Ledger, job: RunningJob): EndedJob {
  const ended = ledger.recordResult(job, someResult(job));
  if (ended === "already ended") throw new Error("the job has no result yet");
  return ended;
}
