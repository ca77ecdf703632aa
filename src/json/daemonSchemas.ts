import { z } from "zod";
import { count, described, limitSchema, resultSchema, text, time } from "../jobs/jsonSchemas.ts";
import { slaRates } from "./slaSchemas.ts";

export const problem = z
  .strictObject({
    severity: described(
      z.enum(["warning", "critical"]),
      "`critical`: something is not governed or not recorded",
    ),
    kind: described(z.string(), "a stable name, such as `policy-not-valid`"),
    text: described(z.string(), "the problem in words"),
  })
  .meta({ id: "HealthProblem", description: "A problem of `ffrtmp watch`." });

const fleetPolicy = z
  .strictObject({
    ring: described(z.string(), "the ring of this machine"),
    in_force_ring: text("the ring of the policy in force; `null`: none of the fleet is"),
    serial: described(
      z.number().int().nullable(),
      "the serial of the policy in force; `null`: the policy of this machine is in force",
    ),
    highest: described(z.number().int(), "the highest serial that was accepted in the ring; 0: none"),
    sent: text(
      "the SHA-256 of the document that the hub has sent last, in hex; `null`: none that can be read",
    ),
    state: described(
      z.enum(["none", "applied", "refused", "unsupported", "ignored", "unselected"]),
      "what became of the last one that the hub has sent. `none`: it has sent none. `refused`, `unsupported`: the one before stays. `ignored`: the machine keeps its own. `unselected`: it is for a share of the ring, without this machine",
    ),
    why: text("the reason of the state; `null` for `applied` and `none`"),
  })
  .meta({ id: "FleetPolicyState", description: "The policy of the fleet on one machine." });

export const daemon = z
  .strictObject({
    state: described(
      z.enum(["running", "stopped", "died"]),
      "`died`: it was killed or crashed, and its jobs continue",
    ),
    pid: described(z.number(), "the daemon's process"),
    since: time("when the daemon started"),
    counted_at: time("when the counts were read"),
    stopped_at: time("when the daemon stopped; `null`: it runs, or it died"),
    targets: described(z.array(z.string()), "the commands that it governs"),
    policy: text("the policy file; `null`: the policy comes from the command line"),
    policy_loaded_at: time("when the policy in force was read"),
    policy_faults: described(
      z.array(z.string()),
      "errors in the file as it is now. If there are any, an earlier policy is in force",
    ),
    fleet_policy: described(
      fleetPolicy.nullable(),
      "the policy of the fleet on this machine; `null`: it follows no fleet, or the daemon is of an earlier release",
    ),
    scan_interval_seconds: described(z.number(), "the interval between full process scans, in seconds"),
    event_source: described(z.string(), "how the daemon notices new processes"),
    event_source_since: time("since when it uses this source"),
    events_received: count("process events received"),
    events_dropped: count("process events that the kernel dropped; `null`: the kernel does not count them"),
    renames_dropped: count("events of renamed processes that the kernel dropped; `null`: not counted"),
    execs_filtered: count(
      "execs of files with other names than the policy has, which a filter in the kernel dropped; `null`: all are reported",
    ),
    execs_unfiltered_because: described(
      z.string().nullable(),
      "why the kernel reports all execs; `null`: it does not, or the daemon is of an earlier release",
    ),
    overruns: count("how often the kernel's buffer for events was full"),
    malformed: count("messages from the kernel that could not be read"),
    work_postponed: count("how often work had to wait for lack of file descriptors"),
    rescans: count("scans of all processes because events were lost"),
    found_by_looking: count("processes that a scan found, because their event was missed"),
    not_governed: count("processes that the policy chose and that could not be governed"),
    tenants_refused: count("processes with a fact that cannot be part of a tenant's name"),
    late_reads: count("facts of processes that could not be read in time"),
    skipped_reads: count("facts that were not read, because too many threads were blocked"),
    ended_before_limits: count("processes that ended before their limits could be applied"),
    sla_last_24h: described(
      slaRates.optional(),
      "the rates of the last 24 hours, of all jobs of this ledger; absent in `health`",
    ),
    answers: described(
      z.boolean(),
      "the daemon has answered; `false`: this is what it recorded last, without the keys below",
    ),
    jobs: described(z.number().optional(), "the jobs that it observes"),
    on_end_run: described(z.number().optional(), "how often the command of `on_end` was run"),
    on_end_failed: described(z.number().optional(), "how often it failed"),
    on_end_dropped: described(z.number().optional(), "how often it was not run"),
    problems: described(z.array(problem).optional(), "what an operator should know, the worst first"),
  })
  .meta({ id: "Daemon", description: "The state of `ffrtmp watch`." });

export const health = z
  .strictObject({
    health: described(
      z.enum(["healthy", "degraded", "unhealthy", "unknown"]),
      "the exit codes are 0, 1, 2 and 3",
    ),
    problems: described(z.array(problem), "the reasons; empty for `healthy`"),
    daemon: described(
      daemon.nullable(),
      "the state of the daemon; `null`: there was none, or it is not known",
    ),
  })
  .meta({ id: "Health", description: "The state of `ffrtmp watch` for a monitoring system." });

export const logged = z
  .looseObject({
    time: time("when the event was logged"),
    level: described(z.enum(["error", "warn", "info", "debug"]), "as for `--log-level`"),
    kind: described(z.string(), "the kind of the event, such as `job_attached` or `job_ended`"),
    message: described(z.string(), "the text that is logged without `--json`"),
    job_id: described(z.string().optional(), "the job that it is about"),
    pid: described(z.number().nullish(), "the process that it is about"),
    reason: described(z.string().optional(), "why something failed or was not done"),
    limits: described(z.array(limitSchema).optional(), "the results of the limits, of `job_attached`"),
    result: described(resultSchema.optional(), "the result, of `job_ended`"),
  })
  .meta({
    id: "LoggedEvent",
    description: "An event in the log of `ffrtmp watch`, with more keys for some kinds.",
  });

export const logLine = z
  .strictObject({
    time: time("when it happened"),
    kind: described(z.string(), "the kind of the event; a later release can add kinds"),
    job_id: text(
      "the job's id; `null`: the event is about `ffrtmp watch`, or its job is not recorded any more",
    ),
    detail: described(z.unknown(), "more, depending on the kind"),
  })
  .meta({ id: "LogLine", description: "An event of a job or of the daemon." });
