import { z } from "zod";
import { LIMIT_NAMES } from "../limits/table.ts";
import { VERDICTS } from "./model/hindered.ts";
import type { JobEventKind } from "./model/jobEvent.ts";
import { JOB_OUTCOMES } from "./model/outcome.ts";

/**
 * The JSON objects that describe jobs. `docs/json.md` is made from these schemas, and each JSON output in a test is
 * checked against them. Commands import only the types, so that none loads the schemas except `top --on`, which reads what
 * other machines print. Objects are strict: a key that is not here is an error. Keys stay; new ones can be added.
 */

/** Describes a key. `null` means that the value is not known, unless the description gives another meaning. */
export const described = <T extends z.ZodType>(schema: T, description: string): T =>
  schema.describe(description);

export const time = (description: string) =>
  described(z.iso.datetime().nullable(), `${description}; ISO 8601 in UTC`);
export const seconds = (description: string) =>
  described(z.number().nullable(), `${description}, in seconds`);
export const bytes = (description: string) =>
  described(z.number().int().nullable(), `${description}, in bytes`);
export const count = (description: string) => described(z.number().int().nullable(), description);
export const text = (description: string) => described(z.string().nullable(), description);

const usageSchema = z
  .strictObject({
    cpu_user_seconds: seconds("CPU time in user mode"),
    cpu_system_seconds: seconds("CPU time in the kernel"),
    throttled_seconds: seconds("time in which the CPU quota stopped runnable threads"),
    memory_peak_bytes: bytes("the highest memory use of the job's cgroup"),
    memory_max_hits: count("allocations that reached the job's own hard memory limit"),
    oom_kills: count("processes that the kernel's OOM killer ended"),
    io_read_bytes: bytes("data read from disks"),
    io_write_bytes: bytes("data written to disks"),
    cpu_pressure_seconds: seconds(
      "time in which at least one thread waited for a CPU; on cgroup v1 only where a v2 hierarchy is mounted beside it",
    ),
    memory_pressure_seconds: seconds(
      "time in which at least one thread waited for memory; on cgroup v1 only where a v2 hierarchy is mounted beside it",
    ),
    io_pressure_seconds: seconds(
      "time in which at least one thread waited for a disk; on cgroup v1 only where a v2 hierarchy is mounted beside it",
    ),
  })
  .meta({ id: "UsageAfterEnd", description: "The resources that were used since the end of a job." });

export const jobUsageSchema = usageSchema
  .extend({
    memory_peak_partial: described(
      z.boolean(),
      "`memory_peak_bytes` leaves out memory that is charged to another cgroup, and can be far too low",
    ),
    memory_peak_partial_because: text("why the peak is partial; `null`: it is not, or it is not known"),
  })
  .meta({ id: "Usage", description: "The resources that a job has used, as the kernel counted them." });

export const limitSchema = z
  .strictObject({
    limit: described(
      z.enum(LIMIT_NAMES),
      "the limit, by its name on cgroup v2 or in the process's attributes",
    ),
    of: described(
      z.enum(["tenant", "governor"]).optional(),
      "`tenant`: the limit is the total of the tenant's jobs; `governor`: the headroom governor of `watch` has set it; absent: the job's own",
    ),
    outcome: described(
      z.enum(["applied", "partial", "refused", "unsupported"]),
      "the result, as read back from the kernel after the write",
    ),
    wanted: described(z.string(), "the value that was asked for"),
    actual: described(z.string().optional(), "the value that the kernel has; absent where it has none"),
    because: described(
      z.string().optional(),
      "the reason, where the limit is not applied as it was asked for",
    ),
    held_by: described(z.string().optional(), "the cgroup above that is as tight or tighter; absent: none"),
    process_had_ended: described(
      z.literal(true).optional(),
      "the process had ended before the limit could be applied; absent otherwise",
    ),
  })
  .meta({ id: "Limit", description: "One limit of a job, and its result." });

export const jobSchema = z.strictObject({
  job_id: described(z.string(), "the job's id"),
  state: described(
    z.enum(["starting", "running", "ended"]),
    "`starting`: recorded, and the workload does not run under its limits yet",
  ),
  mode: described(z.enum(["run", "attach", "watch"]), "the command that governs the job"),
  pid: count("the workload's process; `null`: not started yet"),
  command: described(z.array(z.string()), "the command and its arguments, with secrets as `***`"),
  command_cut: described(z.boolean(), "the command is longer than what is recorded"),
  command_masked: described(
    z.boolean(),
    "`command` or `cwd` has a secret masked; `ffrtmp inspect --show-secrets` shows it",
  ),
  cwd: text("the working directory of the process when it was first governed"),
  uid: count("the user of the process when it was first governed"),
  start_time: time("when governing started; `null`: not yet"),
  observer_pid: count("the ffrtmp that will record the job's end; `null`: none"),
  intent: text("the purpose of the job, from `--intent` or the policy; `null`: none"),
  sla_eligible: described(z.boolean(), "the job counts in the rates of the SLA"),
  tenant: text("the job's tenant; `null`: none"),
  labels: described(z.record(z.string(), z.string()), "labels, by name"),
  limits: described(z.array(limitSchema), "the limits that were asked for, with their results"),
  limits_by_hand: described(
    z.array(z.strictObject({ limit: z.enum(LIMIT_NAMES), wanted: z.string() })),
    "limits that `ffrtmp limits set` set, which override those of the policy",
  ),
  cgroups: described(z.array(z.string()), "directories of the job's cgroups"),
  log: text("the file with the output of a job of `run --detach`; `null`: none"),
  decided_by: described(
    z.enum(["rule", "target_commands"]).nullable(),
    "the part of the policy that chose the process; `null`: no policy did, or an earlier release",
  ),
  rule: text("the name of the rule that chose the process; `null`: no rule"),
});

export const resultSchema = z
  .strictObject({
    job_id: described(z.string(), "the job's id"),
    pid: count("the workload's process; `null`: it was never started"),
    mode: jobSchema.shape.mode,
    command: jobSchema.shape.command,
    command_cut: jobSchema.shape.command_cut,
    command_masked: jobSchema.shape.command_masked,
    ending: described(
      z.enum(["exited", "detached", "unobserved", "never_started"]),
      "`exited`: the process ended, by itself or by a signal. `detached`: it was alive when governing stopped. `unobserved`: it ended while no ffrtmp observed it. `never_started`: it could not be started",
    ),
    start_time: time("when governing started; `null`: it never did"),
    end_time: time("when the end was observed; `null`: it was not observed"),
    last_seen: time("where the end was not observed: the last time when the job was known to run"),
    ended_before: time(
      "where the end was not observed: a time at which it had ended; `null`: it was observed",
    ),
    processing_seconds: seconds("how long the job was governed; `null` where the end was not observed"),
    runtime_seconds: seconds(
      "how long the process ran; `null` where its end was not observed or the job was detached",
    ),
    runtime_at_most_seconds: seconds(
      "how long the process can have run; equal to `runtime_seconds` where that is known",
    ),
    runtime_at_least_seconds: seconds(
      "how long the process ran until it was detached; equal to `runtime_seconds` where that is known",
    ),
    duration_clock: described(
      z.enum(["boot", "wall"]).nullable(),
      "the clock behind the durations. `boot`: exact. `wall`: wrong by as much as the wall clock was set. `null`: no duration is known",
    ),
    exit_code: count("the exit code; `null`: ended by a signal, or unknown"),
    signal: text("the signal that ended the process, such as `SIGKILL`; `null`: none, or unknown"),
    exit_evidence: described(
      z.enum(["parent", "pidfd", "proc-event", "proc-stat"]).nullable(),
      "the source of the exit code or signal. `parent`: wait(2). `pidfd`: the exit record of a pidfd (Linux 6.15). `proc-event`: the kernel's process connector. `proc-stat`: the zombie in `/proc`. `null`: both are unknown",
    ),
    exit_unknown_because: text("why there is neither an exit code nor a signal; `null`: there is one"),
    outcome: described(
      z.enum(JOB_OUTCOMES),
      "what became of the workload. `succeeded`: exit code 0. `failed`: another exit code, or it could not be started. `killed`: ended by a signal. `unknown`: not observed, or detached",
    ),
    platform_sla_compliant: described(
      z.boolean(),
      "the platform did its part, whatever the outcome of the workload",
    ),
    platform_sla_reason: described(
      z.string(),
      "the reason of the verdict: one word, with details in parentheses if any",
    ),
    sla_eligible: jobSchema.shape.sla_eligible,
    intent: jobSchema.shape.intent,
    tenant: jobSchema.shape.tenant,
    labels: jobSchema.shape.labels,
    limits: jobSchema.shape.limits,
    usage: jobUsageSchema,
    hindered_seconds: described(
      z.partialRecord(z.enum(VERDICTS), z.number()).nullable(),
      "for how long each cause held the job back, by its verdict, in seconds; a cause that never did is absent; `null`: no watch has measured it",
    ),
    log: jobSchema.shape.log,
  })
  .meta({ id: "Result", description: "The end of a job. It is written once and never changes." });

const strings = z.array(z.string());
const drift = z.strictObject({
  what: described(
    z.string(),
    "the limit, `tenant's` and the limit, or `membership`: processes left the job's cgroup",
  ),
  wanted: z.string(),
  found: z.string(),
});

/** The kinds of events, each with its detail. */
export const EVENT_DETAILS: Record<JobEventKind, z.ZodType> = {
  adopted: described(
    z.union([z.strictObject({ because: z.string() }), z.strictObject({ observer_pid: z.number() })]),
    "another ffrtmp observes the job from now on",
  ),
  handed_over: described(
    z.strictObject({ observer_pid: z.number() }),
    "the process that started the job in the background left it to a daemon",
  ),
  observer_died: described(z.strictObject({}), "the ffrtmp that observed the job was killed, or crashed"),
  observer_left: described(
    z.strictObject({ signal: z.string().optional(), by_choice: z.literal(true).optional() }),
    "the ffrtmp that observed the job stopped, and the job continues. `signal`: the signal that stopped it. `by_choice`: the operator chose that no ffrtmp observes the end, by Ctrl-C or `watch --once`",
  ),
  released_by_policy: described(
    z.strictObject({ because: z.string() }),
    "the policy no longer asks for the job, which was detached",
  ),
  returned_to_policy: described(
    z.strictObject({}),
    "`attach --policy`: the policy decides again about the process, which was detached by hand",
  ),
  detach_failed: described(
    z.strictObject({ failures: strings, left: strings }),
    "`detach` could not undo everything. `left`: the cgroups that still exist",
  ),
  limits_changed: described(
    z.strictObject({ because: z.string(), before: strings, now: strings, failures: strings.optional() }),
    "the limits that were asked for changed, by the policy or by hand",
  ),
  reapplied: described(drift, "a limit was changed from outside, and was written again"),
  given_again: described(drift, "systemd disabled a controller; it was enabled and its limit written again"),
  repair_refused: described(drift, "a limit was changed from outside, and the kernel refused to restore it"),
  left_alone: described(drift, "a limit was changed from outside too often, and is not written again"),
  left_behind: described(
    z.strictObject({ pids: z.array(z.number()) }),
    "the job ended and left processes, which keep its cgroup and limits",
  ),
  held_back: described(
    z.strictObject({
      verdict: z.enum(VERDICTS),
      live: z.boolean(),
      seconds: z.number(),
      needed_cores: z.number().nullable(),
      limit: z.string().nullable(),
      text: z.string(),
    }),
    "something has held the job back for 30 seconds: see [Hindrance](#hindrance). `seconds`: until then",
  ),
  held_back_ended: described(
    z.strictObject({ verdict: z.enum(VERDICTS), seconds: z.number() }),
    "it does so no more, since 30 seconds; absent where the job ends before. `seconds`: how long it did",
  ),
  last_gone: described(
    z.strictObject({ usage: usageSchema }),
    "the last process that the job left has ended. `usage`: since the end of the job",
  ),
};

export const eventSchema = z
  .strictObject({
    time: described(z.iso.datetime(), "when it happened; ISO 8601 in UTC"),
    kind: described(z.string(), "the kind of the event; a later release can add kinds"),
    detail: described(z.unknown(), "more, depending on the kind"),
  })
  .superRefine(({ kind, detail }, { addIssue }) => {
    if (!Object.hasOwn(EVENT_DETAILS, kind)) return;
    const { error } = EVENT_DETAILS[kind as JobEventKind].safeParse(detail);
    if (error) addIssue(`${kind}: ${z.prettifyError(error)}`);
  })
  .meta({ id: "Event", description: "An entry in a job's history." });

export type JobJson = z.input<typeof jobSchema>;
export type LimitJson = z.input<typeof limitSchema>;
export type ResultJson = z.input<typeof resultSchema>;
export type UsageJson = z.input<typeof usageSchema>;
export type JobUsageJson = z.input<typeof jobUsageSchema>;
export type EventJson = z.input<typeof eventSchema>;
