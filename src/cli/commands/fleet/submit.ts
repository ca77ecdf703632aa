import { readFileSync } from "node:fs";
import { makeJob, makeJobs } from "../../../fleet/hub/dispatch/jobInput.ts";
import { readPoolView } from "../../../fleet/hub/dispatch/poolView.ts";
import { submitJobs } from "../../../fleet/hub/dispatch/submit.ts";
import { type PoolView, whyNoTemplate } from "../../../fleet/hub/dispatch/waiting.ts";
import { type FleetDirectory, poolsOf } from "../../../fleet/hub/fleetDirectory.ts";
import type { JobBody } from "../../../fleet/messages/job.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { describeErrno } from "../../../sys/errno.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printErr, printJson, printOut, warn } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { operatorName, readReports } from "./operator.ts";
import { withHub } from "./session.ts";

interface SubmitFlags extends FleetFlags {
  pool?: string;
  param?: Record<string, string>;
  id?: string;
  attempts?: number;
  rerun?: "never" | "if_lost";
  notBefore?: string;
  expires?: string;
  label?: Record<string, string>;
  from?: string;
  key?: string;
  json?: boolean;
}

/** Signs jobs and puts them into the queue of their pool. Nothing is submitted where one of them is faulty. */
export async function submit(template: string | undefined, flags: SubmitFlags): Promise<number> {
  const jobs = await readJobs(template, flags);
  const submitted = await withHub(flags, async (connection, directory) => {
    checkPools(jobs, directory);
    const key = directory.signingKey("jobs", flags.key);
    const outcomes = await submitJobs(connection, jobs, key);
    // The jobs are submitted, whether this is known or not.
    const nodes = await readReports(connection, directory).catch(() => []);
    const view = await readPoolView(connection, directory.read(), nodes).catch(() => undefined);
    if (view !== undefined) warnOfTemplates(jobs, view);
    return outcomes;
  });
  if (flags.json)
    printJson(
      submitted.map(({ id, outcome, reason }, index) => {
        const { pool, not_after } = jobs[index] as JobBody;
        return { job: id, pool, outcome, reason, not_after: outcome === "submitted" ? not_after : null };
      }),
    );
  else
    for (const { id, outcome } of submitted)
      if (outcome !== "refused") printOut(oneLine(`${id}: ${outcome}`));
  const refused = submitted.filter(({ outcome }) => outcome === "refused");
  for (const { id, reason } of refused) warn(`${id} is not submitted: ${reason}`);
  return refused.length > 0 ? 1 : 0;
}

/** A job of a template that no node has waits until it expires. */
function warnOfTemplates(jobs: readonly JobBody[], view: PoolView): void {
  const faults = new Set(jobs.flatMap((job) => whyNoTemplate(job, view) ?? []));
  for (const fault of faults) {
    warn(fault);
    printErr("  such a job waits until a node has it; to withdraw it: ffrtmp fleet cancel JOB");
  }
}

async function readJobs(template: string | undefined, flags: SubmitFlags): Promise<JobBody[]> {
  const { pool, param: params, id, attempts, rerun, notBefore, expires, label: labels, from } = flags;
  const given = { template, pool, params, id, attempts, rerun, not_before: notBefore, expires, labels };
  const input = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const nowMs = Date.now();
  const by = operatorName();
  if (from !== undefined) {
    if (id !== undefined)
      throw new Refusal("--id names one job, and --from contains many: put the ids into the file");
    return makeJobs(await readText(from), input, by, nowMs, from === "-" ? "stdin" : from);
  }
  if (template === undefined)
    throw new Refusal("no template is named", "ffrtmp fleet submit TEMPLATE --pool POOL");
  if (pool === undefined)
    throw new Refusal("no pool is named", `ffrtmp fleet submit ${template} --pool POOL`);
  return [makeJob(input, by, nowMs)];
}

async function readText(file: string): Promise<string> {
  if (file === "-") return await Bun.stdin.text();
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Refusal(`cannot read ${file}: ${describeErrno(error)}`);
  }
}

/** A queue without a node keeps its jobs until they expire. */
function checkPools(jobs: readonly JobBody[], directory: FleetDirectory): void {
  const pools = poolsOf(directory.read());
  const unknown = jobs.find(({ pool }) => !pools.includes(pool));
  if (unknown === undefined) return;
  throw new Refusal(
    `no node of the fleet is in the pool ${unknown.pool}`,
    pools.length > 0 ? `its pools are: ${pools.join(", ")}` : "ffrtmp fleet invite NODE --pool POOL",
  );
}
