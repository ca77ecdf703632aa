import { Refusal } from "../../jobs/errors.ts";
import { ValueFault } from "../../limits/units.ts";
import { parseWord } from "../../policy/word.ts";
import { attemptId, type JobBody, jobBody } from "../messages/job.ts";
import { isDocumentFault, openDocument } from "../messages/signed.ts";
import type { Acceptance } from "./accept.ts";
import { expandTemplate } from "./expand.ts";
import type { ClaimRecord, SpoolEntry } from "./spool.ts";
import type { Template } from "./template.ts";

/** The decisions of root on this machine, read again for each attempt. */
export interface Locks {
  /** `undefined`: dispatch is off. Throws a Refusal where the file cannot be used. */
  readAcceptance(): Acceptance | undefined;
  /** `undefined`: there is none of this name. Throws a Refusal where it cannot be used. */
  readTemplate(name: string, acceptance: Acceptance): Template | undefined;
}

/** A start of an attempt: the options and the command of `ffrtmp run`, and the limit on how many run at once. */
export interface StartPlan {
  readonly options: readonly string[];
  readonly command: readonly string[];
  readonly slots: number;
}

/**
 * The decision about an attempt. `wait`: nothing now, because its time has not come, or because a file of root's cannot be used, which
 * `why` says then. `reject`: refused, and no trusted operator has signed an attempt with this id, so the id is not the agent's to
 * make unusable.
 */
export type Decision =
  | { readonly kind: "start"; readonly plan: StartPlan }
  | { readonly kind: "refuse" | "reject"; readonly why: string }
  | { readonly kind: "wait"; readonly why: string | undefined };

/**
 * Decides about an attempt that the agent has claimed, as if the agent were hostile: from the bytes that the operator signed, and
 * from root's files. The agent has the right to withhold and to repeat, and no other.
 */
export function decideAttempt(
  { job: id, attempt, record }: SpoolEntry<ClaimRecord>,
  locks: Locks,
  nowMs: number,
): Decision {
  let acceptance: Acceptance | undefined;
  try {
    acceptance = locks.readAcceptance();
  } catch (error) {
    // Root may be editing it.
    if (error instanceof Refusal) return { kind: "wait", why: error.message };
    throw error;
  }
  if (acceptance === undefined) return refuse("dispatch is off on this machine: ffrtmp fleet accept");
  const body = openDocument(record.job, "job", jobBody, acceptance.trusted);
  if (isDocumentFault(body)) return reject(`the job is ${body.fault}: ${body.why}`);
  if (body.id !== id || record.attempt !== attempt)
    return reject("the claim has the name of another attempt than its content");
  if (attempt > body.attempts)
    return refuse(`the job has ${body.attempts} attempts, and this is number ${attempt}`);
  if (!acceptance.pools.includes(body.pool))
    return refuse(
      `the job is for the pool ${body.pool}, and this machine takes ${acceptance.pools.join(", ")}`,
    );
  if (nowMs > Date.parse(body.not_after)) return refuse(`the job has expired at ${body.not_after}`);
  if (body.not_before !== null && nowMs < Date.parse(body.not_before))
    return { kind: "wait", why: undefined };
  try {
    return { kind: "start", plan: planStart(body, attempt, acceptance, locks) };
  } catch (error) {
    if (error instanceof Refusal) return refuse(error.message);
    throw error;
  }
}

function planStart(body: JobBody, attempt: number, acceptance: Acceptance, locks: Locks): StartPlan {
  const template = locks.readTemplate(body.template, acceptance);
  if (template === undefined) throw new Refusal(`this machine has no template ${body.template}`);
  const command = expandTemplate(template, { job: body.id, attempt, params: body.params });
  const own = { fleet_job: body.id, fleet_attempt: String(attempt) };
  const labels = Object.entries({ ...body.labels, ...own }).map(checkLabel);
  const variables = { ...template.env, FFRTMP_JOB: body.id, FFRTMP_ATTEMPT: String(attempt) };
  const options = [
    "--once",
    `--job-id=${attemptId(body.id, attempt)}`,
    `--user=${acceptance.as}`,
    `--workdir=${template.workdir}`,
    ...template.options,
    ...labels.map(([name, value]) => `--label=${name}=${value}`),
    ...Object.entries(variables).map(([name, value]) => `--setenv=${name}=${value}`),
  ];
  return { options, command, slots: acceptance.slots };
}

function checkLabel(label: [string, string]): [string, string] {
  try {
    for (const word of label) parseWord(word);
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    throw new Refusal(`the label ${JSON.stringify(label[0])} ${error.message}`);
  }
  if (label[0].includes("=")) throw new Refusal(`the label ${JSON.stringify(label[0])} contains =`);
  return label;
}

function refuse(why: string): Decision {
  return { kind: "refuse", why };
}

function reject(why: string): Decision {
  return { kind: "reject", why };
}
