import { afterAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeOn, listAll, makeJob } from "../../../test/support/cgroupJobs.ts";
import { FAKE_V2, REAL_V2 } from "../../../test/support/cgroupMachines.ts";
import { someJob } from "../../../test/support/jobs.ts";
import { Ledger } from "../../ledger/ledger.ts";
import type { JobRecord } from "../../ledger/records.ts";
import { storeJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import type { Context } from "../context.ts";
import { releaseEnded } from "../exit/recordExit.ts";
import { jobCgroupOf, usageOf } from "./jobCgroup.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "of several jobs in one cgroup", (it) => {
    it("the last one switches off what the first one switched on", (machine) => {
      const ledger = new Ledger(join(directory, `${Bun.randomUUIDv7()}.db`), console.log);
      const { fs, hierarchies } = machine;
      const context = { host: { cgroupFs: fs }, hierarchies, ledger } as unknown as Context;
      const before = listAll(machine);
      const jobs = ["one", "two", "three"].map((jobId, index) => {
        const cgroup = makeJob(machine, { cpuWeight: 50 }, `ffrtmp-1f3a9c-${jobId}`);
        const job = someJob({ jobId, pid: 4000 + index, cgroup: storeJobCgroup(cgroup) });
        ledger.begin(job);
        return job;
      });
      const during = listAll(machine);
      for (const job of jobs.slice(0, 2)) {
        ledger.refresh(job);
        expect(releaseEnded(context, job, jobCgroupOf(context, job))).toEqual([]);
      }
      expect(during).not.toEqual(before);
      const last = ledger.jobsNamed("three")[0];
      if (!last) throw new Error("the third job is on record");
      releaseEnded(context, last, jobCgroupOf(context, last));
      expect(listAll(machine)).toEqual(before);
    });

    it("one that is only measured keeps what it is measured by when another one goes", (machine) => {
      const { fs, hierarchies } = machine;
      const ledger = new Ledger(join(directory, `${Bun.randomUUIDv7()}.db`), console.log);
      const context = { host: { cgroupFs: fs }, hierarchies, ledger } as unknown as Context;
      const [gone, left] = ["one", "two"].map((jobId, index) => {
        const cgroup = makeJob(machine, {}, `ffrtmp-1f3a9c-${jobId}`);
        const job = someJob({ jobId, pid: 4000 + index, cgroup: storeJobCgroup(cgroup) });
        ledger.begin(job);
        return job;
      }) as [JobRecord, JobRecord];
      const measured = usageOf(left, jobCgroupOf(context, left));
      expect(measured.memoryPeakBytes).not.toBeNull();
      expect(releaseEnded(context, gone, jobCgroupOf(context, gone))).toEqual([]);
      expect(usageOf(left, jobCgroupOf(context, left))).toEqual(measured);
    });
  });
}
