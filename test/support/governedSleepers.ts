import { afterEach } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attach } from "../../src/jobs/attach/attach.ts";
import { detach } from "../../src/jobs/attach/detach.ts";
import { type Context, createContext } from "../../src/jobs/context.ts";
import type { JobSpec } from "../../src/jobs/job.ts";
import type { RunningJob } from "../../src/jobs/model/job.ts";
import { jobCgroupOf } from "../../src/jobs/placement/jobCgroup.ts";
import { Ledger } from "../../src/ledger/ledger.ts";
import { locateState } from "../../src/ledger/location.ts";
import type { Limits } from "../../src/limits/limits.ts";
import { realHost } from "../../src/linux/host.ts";
import { closeFd } from "../../src/sys/descriptor.ts";

export interface GovernedSleeper {
  context: Context;
  job: RunningJob;
  pid: number;
}

/**
 * Returns real processes that the test itself governs with its own ledger, for details that a test of the
 * executable cannot observe. The functions in `clean` run after each test, the latest first.
 */
export function useGovernedSleepers(): {
  clean: (() => void | Promise<void>)[];
  governSleeper(limits: Limits, different?: Partial<JobSpec>, context?: Context): GovernedSleeper;
  makeGovernor(): Context;
} {
  const clean: (() => void | Promise<void>)[] = [];
  afterEach(async () => {
    while (clean.length > 0) await clean.pop()?.();
  });

  function makeGovernor(): Context {
    const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
    clean.push(() => rmSync(directory, { recursive: true }));
    const state = locateState(directory, {});
    return createContext({
      host: realHost(),
      ledger: new Ledger(state.ledger, console.log),
      state,
      warn: console.log,
    });
  }

  function governSleeper(
    limits: Limits,
    different: Partial<JobSpec> = {},
    context = makeGovernor(),
  ): GovernedSleeper {
    const sleeper = Bun.spawn(["sleep", "600"], { stdio: ["ignore", "ignore", "ignore"] });
    clean.push(async () => {
      sleeper.kill("SIGKILL");
      await sleeper.exited;
    });
    const usual = { jobId: "kept", intent: null, slaEligible: true, tenant: null, labels: {} };
    const { job, pidfd } = attach(context, sleeper.pid, { ...usual, limits, ...different });
    if (pidfd !== undefined) closeFd(pidfd);
    clean.push(() => {
      const current = context.ledger.job(job.key);
      if (current?.state === "running") detach(context, current, jobCgroupOf(context, current));
    });
    return { context, job, pid: sleeper.pid };
  }

  return { clean, governSleeper, makeGovernor };
}
