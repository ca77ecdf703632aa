import { z } from "zod";
import { count, described, jobSchema, limitSchema, resultSchema, text, time } from "../jobs/jsonSchemas.ts";
import { logged, logLine } from "./daemonSchemas.ts";
import { inspected } from "./inspectedSchema.ts";
import { jobView, snapshotSchema } from "./snapshotSchemas.ts";

const cursor = (what: string) =>
  text(`the value of \`before\` for the page with older ${what}; \`null\`: there is none`);

export const jobList = z
  .strictObject({
    time: snapshotSchema.shape.time,
    jobs: snapshotSchema.shape.jobs,
  })
  .meta({ id: "JobList", description: "The running jobs of a snapshot." });

export const jobDetail = jobView
  .extend(inspected.shape)
  .extend({
    timeline: described(
      z.array(logLine),
      "what happened to the job, oldest first: `registered`, `started`, its events, `ended`",
    ),
  })
  .meta({
    id: "JobDetail",
    description:
      "A job with all that is known about it: the keys of JobView, those of `ffrtmp inspect --json`, and its timeline. At most the last 1000 events are in it.",
  });

export const resultPage = z
  .strictObject({
    results: described(z.array(resultSchema), "jobs that have ended, the latest first"),
    next: cursor("jobs"),
  })
  .meta({ id: "ResultPage", description: "A part of the jobs that have ended." });

export const eventPage = z
  .strictObject({
    events: described(z.array(logLine), "events, the latest first"),
    next: cursor("events"),
  })
  .meta({
    id: "EventPage",
    description:
      "A part of the events that are recorded about `ffrtmp watch` and its jobs. Starts and ends of jobs are in the history.",
  });

const section = z
  .strictObject({
    name: described(z.string(), "the name in the file"),
    settings: described(
      z.record(z.string(), z.string()),
      "the keys with their values as text, inner keys with a dot: `match.user`",
    ),
  })
  .meta({ id: "PolicySection", description: "A named part of the policy file, with secrets as `***`." });

const strings = (description: string) => described(z.array(z.string()), description);

export const policyInForce = z
  .strictObject({
    path: text("the policy file; `null`: the policy comes from the command line"),
    loaded_at: time("when the policy in force was read"),
    is_valid: described(
      z.boolean(),
      "the file as it is now is the policy in force; `false`: an earlier one is, for the reasons in `faults`",
    ),
    faults: strings("errors in the file as it is now, because of which it was refused"),
    warnings: strings("likely mistakes in the policy in force"),
    scan_interval_seconds: described(z.number(), "the interval between full process scans, in seconds"),
    target_commands: strings("the commands that are governed where no rule matches"),
    default_limits: described(
      z.array(jobSchema.shape.limits_by_hand.element),
      "the limits where no rule and no command has others, the options of `watch` included",
    ),
    settings: described(section.shape.settings, "the keys of the file that belong to no section"),
    rules: described(z.array(section), "the rules, in their order: the first one that matches decides"),
    commands: described(z.array(section), "the settings of single commands"),
    tenants: described(z.array(section), "the limits of the totals of tenants"),
    limits_refused: described(
      z.array(limitSchema.extend({ job_id: jobSchema.shape.job_id })),
      "the limits of running jobs that are not in force, with the reason; at most 500",
    ),
    limits_refused_count: count("how many there are"),
  })
  .meta({
    id: "PolicyInForce",
    description: "The policy by which `ffrtmp watch` decides, and what is refused.",
  });

export const apiIndex = z
  .strictObject({
    ffrtmp_version: described(z.string(), "the version of `ffrtmp watch`"),
    routes: described(
      z.array(
        z.strictObject({
          path: described(z.string(), "the path; a part in braces is a parameter"),
          summary: described(z.string(), "what it returns"),
        }),
      ),
      "all routes",
    ),
  })
  .meta({ id: "ApiIndex", description: "The routes of the API." });

export const problemDocument = z
  .strictObject({
    title: described(z.string(), "the name of the status"),
    status: described(z.number().int(), "the status of the response"),
    detail: described(z.string(), "what was asked for, and why there is no answer"),
    parameter: described(z.string().optional(), "the parameter that is not valid; absent otherwise"),
    next: described(z.string(), "what to do"),
  })
  .meta({ id: "Problem", description: "The reason why a request has no answer (RFC 9457)." });

/** The data of the events on the stream, by the name of the event. */
export const STREAM_EVENTS = {
  snapshot: snapshotSchema,
  ended: resultSchema,
  event: logged,
  missed: z.strictObject({ events: described(z.number().int(), "how many events were left out") }).meta({
    id: "Missed",
    description: "Events were left out, because the client read too slowly. No snapshot is queued for it.",
  }),
};

export type JobDetailJson = z.input<typeof jobDetail>;
export type ResultPageJson = z.input<typeof resultPage>;
export type EventPageJson = z.input<typeof eventPage>;
export type PolicyInForceJson = z.input<typeof policyInForce>;
export type ApiIndexJson = z.input<typeof apiIndex>;
