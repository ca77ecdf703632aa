import { randomBytes } from "node:crypto";
import { z } from "zod";
import { Refusal } from "../../../jobs/errors.ts";
import { parseDuration, ValueFault } from "../../../limits/units.ts";
import { type JobBody, jobBody, MAX_ATTEMPTS } from "../../messages/job.ts";

/** The longest time in which a job can be claimed. Claims are kept for longer: a job whose claim is gone could run again. */
const MAX_EXPIRES_MS = 365 * 86_400_000;
const DEFAULT_EXPIRES = "24h";
/** A job is stored in its submission, its offer and its claim, and a message has at most 256 KiB. */
const MAX_JOB_BYTES = 128 * 1024;

/** A job as an operator describes it, in options or in a line of a file. */
const jobInput = z.strictObject({
  id: z.optional(jobBody.shape.id),
  template: jobBody.shape.template,
  pool: jobBody.shape.pool,
  params: z._default(jobBody.shape.params, {}),
  attempts: z.number().int().min(1).max(MAX_ATTEMPTS).default(1),
  rerun: z._default(jobBody.shape.rerun, "never"),
  /** A time in ISO 8601, or `+2h`: from now. */
  not_before: z.string().optional(),
  /** How long after `not_before`, or from now, it can be claimed. */
  expires: z.string().default(DEFAULT_EXPIRES),
  labels: z._default(jobBody.shape.labels, {}),
});

export type JobInput = z.input<typeof jobInput>;

/** Returns the job that is signed. `where`: the place of the input, for a message. Throws a Refusal. */
export function makeJob(input: unknown, by: string, nowMs: number, where = ""): JobBody {
  const { data, error } = jobInput.safeParse(input, { reportInput: true });
  if (data === undefined) {
    const [issue] = error.issues;
    const key = [...(issue?.path ?? [])].join(".");
    if (issue?.code === "invalid_type" && issue.input === undefined && (key === "template" || key === "pool"))
      throw new Refusal(`${where}no ${key} is named`, `a ${key} in the line, or as an option for all lines`);
    throw new Refusal(`${where}${key || "the job"}: ${issue?.message}`);
  }
  const { id, not_before: notBefore, expires, ...rest } = data;
  const startMs =
    notBefore === undefined
      ? undefined
      : parse(where, "not_before", notBefore, (text) => parseStart(text, nowMs));
  const expiresMs = parse(where, "expires", expires, parseExpiry);
  const job: JobBody = {
    v: 1,
    id: id ?? `job-${randomBytes(8).toString("hex")}`,
    ...rest,
    not_before: startMs === undefined ? null : new Date(startMs).toISOString(),
    not_after: new Date(Math.max(startMs ?? nowMs, nowMs) + expiresMs).toISOString(),
    by,
    at: new Date(nowMs).toISOString(),
  };
  if (JSON.stringify(job).length > MAX_JOB_BYTES)
    throw new Refusal(
      `${where}the job has more than ${MAX_JOB_BYTES / 1024} KiB`,
      "put the data into a file or an object store",
    );
  return job;
}

/** Reads one job of each line. Throws a Refusal that names the line. */
export function makeJobs(
  text: string,
  defaults: Partial<JobInput>,
  by: string,
  nowMs: number,
  file: string,
): JobBody[] {
  const jobs = text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const where = `${file}, line ${index + 1}: `;
    const json = parseLine(line, where);
    return [
      makeJob({ ...defaults, ...json, labels: { ...defaults.labels, ...json.labels } }, by, nowMs, where),
    ];
  });
  const seen = new Set<string>();
  for (const { id } of jobs) {
    if (seen.has(id)) throw new Refusal(`${file}: the id ${id} is in it twice`);
    seen.add(id);
  }
  if (jobs.length === 0) throw new Refusal(`${file} contains no job`);
  return jobs;
}

function parseLine(line: string, where: string): Partial<JobInput> {
  try {
    const json: unknown = JSON.parse(line);
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json;
  } catch {
    // The same answer.
  }
  throw new Refusal(`${where}expected a JSON object, such as {"id": "a", "params": {"input": "x"}}`);
}

function parseStart(text: string, nowMs: number): number {
  if (text.startsWith("+")) return nowMs + parseDuration(text.slice(1));
  if (!z.iso.datetime({ offset: true }).safeParse(text).success) throw new ValueFault("is not a time");
  return Date.parse(text);
}

function parseExpiry(text: string): number {
  const ms = parseDuration(text);
  if (ms <= 0) throw new ValueFault("is no time at all");
  if (ms > MAX_EXPIRES_MS) throw new ValueFault("is more than 365d");
  return ms;
}

const EXPECTED_TIMES = {
  not_before: "+2h, or a time such as 2026-11-28T12:00:00Z",
  expires: "a duration up to 365d, such as 2h",
};

function parse(
  where: string,
  name: keyof typeof EXPECTED_TIMES,
  text: string,
  read: (text: string) => number,
): number {
  try {
    return read(text);
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    throw new Refusal(
      `${where}${name}: ${JSON.stringify(text)} ${error.message}. Expected: ${EXPECTED_TIMES[name]}.`,
    );
  }
}
