import { createGovernor, type Governor } from "../govern/governor.ts";
import { Refusal } from "../govern/refusal.ts";
import { repairJob } from "../govern/repair.ts";
import { realHost } from "../kernel/host.ts";
import { Ledger } from "../ledger/ledger.ts";
import { locateState } from "../ledger/location.ts";
import type { JobRecord } from "../ledger/records.ts";
import type { StateFlags } from "./jobOptions.ts";
import { warn } from "./render/messages.ts";

/** Opens the ledger and looks at the machine: what every command begins with. */
export function openGovernor(flags: StateFlags): Governor {
  const state = locateState(flags.statePath, process.env);
  const ledger = new Ledger(state.ledger, warn);
  return createGovernor(realHost(), ledger, state, warn);
}

/** The job that an id means: the one that is open, or the last that ended. Brought up to date first. */
export function findJob(governor: Governor, jobId: string): JobRecord {
  const named = governor.ledger.jobsNamed(jobId);
  const job = named.find(({ state }) => state !== "ended") ?? named[0];
  if (!job) {
    throw new Refusal(
      `there is no job ${jobId} in ${governor.state.ledger}`,
      "see: ffrtmp ps, ffrtmp history",
    );
  }
  repairJob(governor, job);
  return governor.ledger.job(job.key) ?? job;
}
