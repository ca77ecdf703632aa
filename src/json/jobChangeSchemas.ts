import { z } from "zod";
import { count, described, jobSchema, text } from "../jobs/jsonSchemas.ts";
import { LIMIT_NAMES } from "../limits/table.ts";

const changedLimits = jobSchema
  .extend({
    lifted: described(
      z.array(
        z.strictObject({
          limit: described(z.enum(LIMIT_NAMES), "the limit"),
          in_force: text("the value that applies now, of a cgroup above; `null`: none"),
        }),
      ),
      "limits that this call lifted: ffrtmp sets none any more",
    ),
  })
  .meta({ id: "ChangedLimits", description: "A job after a change of its limits by hand." });

const unchangedLimits = z
  .strictObject({
    job_id: described(z.string(), "the argument that names no job whose limits can be changed"),
    error: described(z.string(), "why not"),
  })
  .meta({ id: "UnchangedLimits", description: "An argument whose limits were not changed." });

/** One document for one id or PID, a list for several arguments or a pattern. */
export const limitChanges = z.union([changedLimits, z.array(z.union([changedLimits, unchangedLimits]))]);

export const started = z
  .strictObject({
    job_id: described(z.string(), "the job's id"),
    pid: count("the workload's process"),
  })
  .meta({ id: "StartedJob", description: "A job that was started, or that is observed, in the background." });

export const returned = z
  .strictObject({
    pid: described(z.number(), "the process"),
    was_detached: described(z.boolean(), "it was detached by hand until now, and left alone"),
    job_id: text("the job as which `ffrtmp watch` governs it now; `null`: none yet"),
  })
  .meta({ id: "ReturnedProcess", description: "A process that is given back to the policy." });

export type ChangedLimitsJson = z.input<typeof changedLimits>;

export type UnchangedLimitsJson = z.input<typeof unchangedLimits>;

export type ReturnedJson = z.input<typeof returned>;
