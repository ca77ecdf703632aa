import { z } from "zod";
import { count, described, jobSchema, resultSchema, text, time } from "../jobs/jsonSchemas.ts";

/** The JSON objects of `ffrtmp fleet`. What a node reports of itself comes from the node, and is not proven. */

const labels = described(z.record(z.string(), z.string()), "labels, by name");
const nodeName = described(z.string(), "the name of the node");

export const nodeJson = z
  .strictObject({
    node: nodeName,
    state: described(
      z.enum(["up", "silent", "refused", "failing", "invited", "revoked"]),
      "`silent`: no report for 150 seconds, and the rest is what it reported last. `refused`: its ledger was cloned or restored, and the hub takes no results of it. `failing`: it reports a fault. `invited`: it has never reported. `revoked`: it was cut off",
    ),
    problem: text("what is wrong, in words; `null`: nothing is known to be"),
    last_report: time("when the hub received its last report, by the clock of the hub; `null`: never"),
    last_report_age_seconds: described(z.number().nullable(), "how long ago that was; `null`: never"),
    clock_offset_seconds: described(
      z.number().nullable(),
      "how far the clock of the node is ahead of the hub's, with the time that the report took; `null`: not known",
    ),
    jobs: count("its jobs that are starting or running"),
    results_waiting: count("results that the hub has not confirmed yet"),
    oldest_waiting: time("when the first job ended whose result waits; `null`: none waits"),
    eligible_jobs: count("its jobs with `--sla-eligible` that ended in the last day"),
    compliant_jobs: count("those for which the platform did its part"),
    watch: described(
      z.enum(["running", "stopped", "died"]).nullable(),
      "the state of its `ffrtmp watch`; `null`: none has used its ledger, or not known",
    ),
    ffrtmp: text("the release of its agent"),
    kernel: text("the release of its kernel"),
    cpus: count("its CPUs"),
    memory_bytes: count("its memory"),
    cgroup: text("its version of cgroups: `v1`, `v2`, `hybrid` or `none`"),
    labels,
    pools: described(z.array(z.string()), "the pools that it belongs to"),
    ring: text("the ring of policies that it belongs to; `null`: not known"),
    cordoned: described(
      z
        .strictObject({
          from: described(
            z.enum(["node", "fleet"]),
            "`node`: root of the machine has cordoned it. `fleet`: an operator has",
          ),
          by: described(z.string(), "the user and machine that cordoned it, as they name themselves"),
          reason: described(z.string(), "the reason that was given"),
        })
        .nullable(),
      "the reason for which it claims no jobs; `null`: it may claim them, or that is not known",
    ),
    policy: described(
      z
        .strictObject({
          serial: count("the serial of the policy in force; `null`: that of the machine is"),
          state: described(
            z.enum(["none", "applied", "refused", "unsupported", "ignored", "unselected"]),
            "the state of the last policy of its ring: see [the state](#fleetpolicystate)",
          ),
          why: text("the reason of the state"),
        })
        .nullable(),
      "the policy of the fleet there; `null`: it follows no fleet, or not known",
    ),
    ledger_id: text("the identity of its ledger, which a copy of the file shares"),
    boot_id: text("the identity of its boot"),
  })
  .meta({ id: "FleetNode", description: "A node of a fleet, as it reported last." });

export const fleetRingJson = z
  .strictObject({
    ring: described(z.string(), "the name of the ring"),
    serial: count("the serial of its policy; `null`: it has none"),
    percent: described(
      z.number().nullable(),
      "the share of its nodes that the policy is for; `null`: it has none",
    ),
    sha256: text("the digest of the policy's text, in hex"),
    pushed_at: time("when the hub stored it, by the clock of the hub"),
    by: text("the user and machine that pushed it, as they name themselves"),
    expires: time("when nodes stop beginning to use it"),
    is_expired: described(z.boolean().nullable(), "it has expired; nodes that use it already continue"),
    signed_by: text("the key that signed it"),
    is_own: described(
      z.boolean().nullable(),
      "it is the key of this operator; the hub could have made any other. `null`: the key is not on this machine, or the ring has no policy",
    ),
    nodes: described(
      z.array(
        z.strictObject({
          node: nodeName,
          state: described(
            z.enum(["applied", "waiting", "refused", "unsupported", "ignored", "unselected", "silent"]),
            "`waiting`: it has not said yet. `unselected`: the policy is for a share of the ring without it. `ignored`: root of the node keeps the local policy. `silent`: it does not report now",
          ),
          serial: count("the serial in force there; `null`: none of the fleet is, or not known"),
          why: text("the reason of the state, in words"),
        }),
      ),
      "the nodes of the ring that have reported, with the state of the policy on each",
    ),
  })
  .meta({ id: "FleetRing", description: "A ring of nodes and its policy." });

export const fleetJobJson = z
  .strictObject({
    node: nodeName,
    node_state: described(
      nodeJson.shape.state,
      "the state of the node; unless it is `up`, the job may have ended meanwhile",
    ),
    last_report: nodeJson.shape.last_report,
    job_id: jobSchema.shape.job_id,
    key: described(z.string(), "the job's key, which no other job of the fleet has"),
    state: described(z.enum(["starting", "running"]), "as in [Job](#listedjob)"),
    mode: jobSchema.shape.mode,
    pid: jobSchema.shape.pid,
    start_time: jobSchema.shape.start_time,
    observer_pid: jobSchema.shape.observer_pid,
    limits: described(
      z.strictObject({
        applied: z.array(z.string()),
        partial: z.array(z.string()),
        refused: z.array(z.string()),
        unsupported: z.array(z.string()),
      }),
      "the names of its limits, by their outcome",
    ),
    intent: jobSchema.shape.intent,
    tenant: jobSchema.shape.tenant,
    labels,
    command: described(
      z.array(z.string()).nullable(),
      "the command, with secrets as `***`; `null`: the agent does not send it",
    ),
  })
  .meta({ id: "FleetJob", description: "A job that runs on a node of a fleet, as the node reported last." });

const JOB_STATES = ["offered", "claimed", "running", "ended", "lost", "expired", "cancelled"] as const;

const attemptJson = z.strictObject({
  attempt: described(z.number().int(), "its number; the first one is 1"),
  state: described(
    z.enum([...JOB_STATES, "superseded"]),
    "as that of the job; `superseded`: its result has arrived after an operator had stated that it is lost",
  ),
  node: text("the node that has claimed it; `null`: none"),
  since: time("when this state began, by the clock of the hub; `null`: not known"),
  reason: text("why it is lost, who has cancelled it, or how it ended; `null`: none of these"),
  result: described(
    z
      .strictObject({
        outcome: resultSchema.shape.outcome,
        exit_code: resultSchema.shape.exit_code,
        key: z.string(),
      })
      .nullable(),
    "its end, whose `key` is that of the result; `null`: none has arrived",
  ),
});

export const queuedJobJson = z
  .strictObject({
    job: described(z.string(), "the id of the job. The id of an attempt on its node is `JOB.ATTEMPT`"),
    state: described(
      z.enum([...JOB_STATES, "missing"]),
      "that of its last attempt. `offered`: it waits in the queue. `claimed`: a node has it, and has not reported it as running. `lost`: that is stated, and it is not offered again. `expired`: no node has claimed it in time. `missing`: it is neither in the queue nor claimed",
    ),
    attempt: described(z.number().int().nullable(), "the number of its last attempt; `null`: none is known"),
    node: text("the node that has claimed it; `null`: none"),
    since: time("when this state began, by the clock of the hub; `null`: not known"),
    pool: text(
      "the pool whose nodes may claim it; `null` here and below: the hub has no signed document of it",
    ),
    template: text("the template that makes its command"),
    attempts_allowed: count("how many attempts it has"),
    rerun: described(z.enum(["never", "if_lost"]).nullable(), "whether a lost attempt is offered again"),
    not_before: time("when it can be claimed first; `null`: at once"),
    not_after: time("when it expires"),
    submitted: time("when it was submitted, by the clock of the hub; `null`: not known"),
    by: text("the user and machine that submitted it, as they name themselves"),
    labels,
    waiting: text(
      "why no node claims it now, by the last reports of the nodes; `null`: a node may, that is not known, or it is not `offered`",
    ),
    attempts: described(z.array(attemptJson), "its attempts, in their order"),
  })
  .meta({ id: "FleetQueuedJob", description: "A job that was submitted to a fleet." });

export const returnJson = z
  .strictObject({
    node: nodeName,
    is_back: described(z.boolean(), "true: the hub has all its claims again"),
    last_report: time("when the hub received its last report, by the clock of the hub; `null`: never"),
    reason: text("why it is not back; `null`: it is"),
  })
  .meta({ id: "FleetReturn", description: "A node of a fleet whose hub was restored from a backup." });

export const submittedJson = z
  .strictObject({
    job: queuedJobJson.shape.job,
    pool: described(z.string(), "the pool whose nodes may claim it"),
    outcome: described(
      z.enum(["submitted", "already submitted", "refused"]),
      "`already submitted`: an earlier call has brought the same job. `refused`: the id is that of another job",
    ),
    reason: text("why it was refused; `null`: it was not"),
    not_after: time("when it expires; `null`: see `fleet queue`"),
  })
  .meta({
    id: "FleetSubmitted",
    description: "The outcome of a job that `fleet submit` has brought to the hub.",
  });

/** Without the command, unless the agent sends it. */
const { command, command_cut, command_masked } = resultSchema.shape;

export const fleetResultJson = resultSchema
  .extend({
    command: command.optional(),
    command_cut: command_cut.optional(),
    command_masked: command_masked.optional(),
    node: nodeName,
    stored: time("when the hub received it, by the clock of the hub"),
    seq: described(z.number().int(), "its number in the ledger of the node"),
    key: described(z.string(), "the job's key, which no other job of the fleet has"),
    ledger_id: described(z.string(), "the ledger that it is from"),
    superseded: described(
      z.boolean(),
      "true: an operator had stated that this attempt of a job of the fleet is lost, and another one may have run",
    ),
  })
  .meta({
    id: "FleetResult",
    description:
      "The end of a job on a node of a fleet. The keys of the command are absent where the agent does not send it.",
  });
