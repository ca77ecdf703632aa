import { z } from "zod";
import { count, described, limitSchema, text } from "../jobs/jsonSchemas.ts";
import { LIMIT_NAMES } from "../limits/table.ts";

export const fault = z
  .strictObject({
    line: described(z.number(), "from 1"),
    column: described(z.number(), "in characters, from 1"),
    key: described(z.string(), "the key with the keys around it; empty for the file as a whole"),
    text: described(z.string(), "the text at this place; empty when something is missing"),
    message: described(z.string(), "continues a sentence that begins with the text"),
    right: described(z.string(), "a valid value"),
  })
  .meta({ id: "PolicyFault", description: "An error, or a likely mistake, in a policy file." });

export const policyCheck = z
  .strictObject({
    path: described(z.string(), "the policy file"),
    valid: described(z.boolean(), "the file can be used"),
    unreadable: text("why the file cannot be read; `null`: it can"),
    faults: described(z.array(fault), "errors"),
    warnings: described(z.array(fault), "likely mistakes in a valid file"),
  })
  .meta({ id: "PolicyCheck", description: "The errors in a policy file." });

const facts = z
  .strictObject({
    parent_pid: z.number(),
    comm: described(z.string(), "the name of the process, at most 15 bytes"),
    executable: text("the path of the executable"),
    argv: described(
      z.array(z.string()),
      "the arguments, with secrets as `***`; empty where they cannot be read",
    ),
    argv_cut: described(z.boolean(), "the command line is longer than `argv`"),
    argv_masked: described(z.boolean(), "`argv` has a secret masked"),
    uid: count("the effective user"),
    user: text("the name of the user; `null` where it has none"),
    gid: count("the effective group"),
    group: text("the name of the group; `null` where it has none"),
    cwd: text("the working directory"),
    ancestors: described(z.array(z.string()), "the names of the parent, of its parent, and so on"),
    cgroups: described(z.array(z.string()), "the cgroup in each hierarchy"),
    container: text("the id or name of its container; `null`: a process of the host"),
    age_seconds: described(z.number(), "the time since its start, in seconds"),
  })
  .meta({ id: "ProcessFacts", description: "The facts of a process that a policy can ask for." });

const change = z
  .looseObject({
    kind: described(
      z.enum([
        "cgroup-created",
        "controller-enabled",
        "file-written",
        "processes-moved",
        "attribute-set",
        "scope-started",
      ]),
      "the kind of the change",
    ),
  })
  .meta({ id: "Change", description: "A change to the machine, with more keys for each kind." });

const step = z
  .strictObject({
    subject: described(z.string(), "the name of the rule, `target_commands` or `filters`"),
    kind: z.enum(["rule", "targets", "filters"]),
    matches: described(z.boolean(), "all conditions match"),
    too_late: described(z.boolean(), "an earlier step had decided"),
    failed: described(
      z.strictObject({ key: z.string(), wanted: z.string(), found: z.string() }).nullable(),
      "the first condition that does not match; `null`: all match",
    ),
  })
  .meta({ id: "Step", description: "The result of one rule, of the target commands or of the filters." });

const plan = z
  .strictObject({
    cgroups: described(z.array(z.string()), "the cgroups that the process would be in"),
    outcomes: described(z.array(limitSchema), "the expected results of the limits"),
    changes: described(z.array(change), "the changes that would be made, in order"),
    writes: described(
      z.array(z.strictObject({ path: z.string(), data: z.string().nullable() })),
      "the changes of the kind `file-written`",
    ),
    attributes: described(
      z.array(
        z.strictObject({
          limit: z.enum(LIMIT_NAMES),
          pid: z.number(),
          tid: z.number(),
          from: z.number(),
          to: z.number(),
        }),
      ),
      "the changes of the kind `attribute-set`",
    ),
  })
  .meta({ id: "Plan", description: "The changes that would be made for a process." });

export const explained = z
  .strictObject({
    pid: z.number(),
    facts,
    steps: described(z.array(step), "each step of the decision, in order"),
    decision: described(z.looseObject({ govern: z.boolean() }), "the decision of the policy alone"),
    govern: described(z.boolean(), "`ffrtmp watch` governs the process"),
    because: text("why it leaves the process alone; `null`: it governs"),
    governed_as: described(
      z
        .strictObject({
          job_id: z.string(),
          state_directory: text("its state directory; `null`: it is of an ffrtmp with another one"),
        })
        .nullable(),
      "the job that the process belongs to; `null`: none",
    ),
    job_id: text("the id that the job would have; `null`: there would be none"),
    would: described(plan.nullable(), "the planned changes; `null`: none"),
    sure_cores: described(
      z.number().nullable(),
      "the cores that the job would get when everything that runs now is busy; `null`: not known, or there would be no job",
    ),
    sure_unknown_because: text("why that is not known; `null`: it is, or there would be no job"),
  })
  .meta({ id: "ExplainedProcess", description: "A policy's decision about one process." });

export const planned = z
  .strictObject({
    pid: z.number(),
    job_id: described(z.string(), "the id that the job would have"),
    decision: described(z.looseObject({ govern: z.boolean() }), "the decision of the policy"),
    would: described(plan, "the planned changes"),
  })
  .meta({ id: "PlannedJob", description: "A process that would be governed." });
