import { z } from "zod";
import {
  bytes,
  count,
  described,
  eventSchema,
  jobSchema,
  jobUsageSchema,
  limitSchema,
  resultSchema,
  seconds,
  text,
  time,
} from "../jobs/jsonSchemas.ts";
import { LIMIT_NAMES } from "../limits/table.ts";
import { fleetJobJson, fleetResultJson, nodeJson } from "./fleetSchemas.ts";
import { hindranceSchema } from "./hindranceSchema.ts";
import { machineUse } from "./machineSchema.ts";

/** The keys of the present memory of one job. */
const presentMemory = {
  memory_bytes: bytes("the memory in use, as `memory_source` says"),
  memory_source: described(
    z.enum(["cgroup", "rss"]).nullable(),
    "`cgroup`: charged to the job's cgroup, without page cache that was not used lately. `rss`: the resident memory of its processes, where the cgroup does not have all of the job's memory",
  ),
  memory_charged_bytes: bytes("all that is charged to the job's cgroup, as its limits count it"),
  memory_rss_bytes: bytes(
    "the resident memory of its processes; a page that several of them share counts in each",
  ),
};

/** The keys of the present use of resources by one job. */
const present = {
  cpu_percent: described(z.number().nullable(), "the CPU use; 100 is one core"),
  ...presentMemory,
  process_count: count("the number of its processes"),
};

const shares = {
  sure_cores: described(
    z.number().nullable(),
    "the cores that it gets when everything that runs now is busy; `null`: it did not run lately, has no cgroup, or a part of the machine's cgroups is not visible",
  ),
  need_cores: described(
    z.number().nullable(),
    "the 95th percentile of its CPU use in a second while it kept up with real time; `null`: fewer than 20 samples, it works ahead of real time, or its intent is `batch` or `best-effort`",
  ),
  need_sample_seconds: described(
    z.number().nullable(),
    "the length of the samples; with more than 2.5 seconds, `need_cores` is an estimate from means",
  ),
  need_while_keeping_up: described(
    z.boolean().nullable(),
    "`false`: all samples count, because its media time is not known; `null`: as `need_cores`",
  ),
  cpu_shortfall: text(
    "that it needs more than it is sure of, in words, for people: they can change with each release; `null`: it is not known to. Of `watch`, after 30 seconds",
  ),
};

export const listed = jobSchema
  .extend({
    user: text("the name of the user, or its uid where /etc/passwd has no name for it"),
    outcome: described(
      resultSchema.shape.outcome.nullable(),
      "as in the result; `null`: the job has not ended",
    ),
    ...present,
    hindrance: described(
      hindranceSchema.nullable(),
      "what has held it back for 30 seconds or longer; `null`: nothing is known to, or watch does not answer",
    ),
    ...shares,
    result: described(resultSchema.nullable(), "the end of the job; `null`: it has not ended"),
  })
  .meta({
    id: "ListedJob",
    description: "A job with what it uses now. What it uses is `null` for a job that has ended.",
  });

const rates = {
  throttled_percent: described(
    z.number().nullable(),
    "the part of the CPU quota's periods in which the quota stopped the job, 0 to 100; 0 without a quota, and null where no cgroup could have one. Of a tenant: by the quota of its total",
  ),
  io_read_bytes_per_second: described(z.number().nullable(), "data read from disks"),
  io_write_bytes_per_second: described(z.number().nullable(), "data written to disks"),
};

const percentOfGpu = (what: string) => described(z.number().nullable(), `${what}; 100 is one device`);

const gpuUse = z
  .strictObject({
    memory_bytes: bytes("the device memory of its processes"),
    sm_percent: percentOfGpu("the use of the streaming multiprocessors"),
    encoder_percent: percentOfGpu("the use of the video encoders"),
    decoder_percent: percentOfGpu("the use of the video decoders"),
    encoder_sessions: described(z.number().int(), "the number of its open encoders"),
  })
  .meta({
    id: "GpuUse",
    description:
      "What a job uses of NVIDIA GPUs, as the driver reports it: averages over the driver's last sampling period. A percentage is `null` where the driver has no sample of the process, as for one that was idle.",
  });
const percentOfTime = (what: string) =>
  described(z.number().nullable(), `the part of the time in which ${what}, 0 to 100; \`null\`: not known`);
const perSecond = (what: string) => described(z.number().nullable(), `${what} per second`);

const waits = {
  cpu_pressure_percent: percentOfTime("at least one thread waited for a CPU"),
  memory_pressure_percent: percentOfTime("at least one thread waited for memory"),
  memory_full_pressure_percent: percentOfTime("all threads that could have run waited for memory"),
  io_pressure_percent: percentOfTime("at least one thread waited for a disk"),
  io_full_pressure_percent: percentOfTime("all threads that could have run waited for a disk"),
  cpu_wait_percent: described(
    z.number().nullable(),
    "the time that its threads waited for a CPU; 100 is one thread that always waits. Only where no cgroup counts the job's CPU time",
  ),
};

const details = {
  memory_anonymous_bytes: bytes("heaps and stacks that are charged to the job's cgroup"),
  memory_file_bytes: bytes("page cache that is charged to the job's cgroup, tmpfs included"),
  memory_peak_bytes: bytes("the most that was charged to the job's cgroup"),
  oom_kills: count("the processes that the kernel's OOM killer ended"),
  task_count: count("the number of its processes and threads"),
  major_faults_per_second: perSecond("page faults that waited for a disk"),
  io_read_operations_per_second: perSecond("reads of disks"),
  io_write_operations_per_second: perSecond("writes to disks"),
};
const bytesPerSecond = (description: string) =>
  described(z.number().nullable(), `${description}, in bytes per second`);

const network = z
  .strictObject({
    tcp_connections: described(z.number().int(), "its TCP connections"),
    tcp_sent_bytes: bytes(
      "sent over its connections and acknowledged, since each was opened; connections that were closed before the first reading are not in it",
    ),
    tcp_received_bytes: bytes("received over the same connections"),
    tcp_retransmitted_bytes: bytes("sent again over the same connections"),
    tcp_sent_bytes_per_second: bytesPerSecond("sent and acknowledged in the interval"),
    tcp_received_bytes_per_second: bytesPerSecond("received in the interval"),
    send_backlog_bytes: described(
      z.number().int(),
      "written by the job and not acknowledged by the receivers yet, in bytes",
    ),
    send_backlog_seconds: described(
      z.number().nullable(),
      "the same in seconds at the rate at which the job writes, of the connection with the most; `null`: there is none, or its rate is not known yet",
    ),
    receive_backlog_bytes: described(z.number().int(), "received and not read by the job yet, in bytes"),
    receiver_limited_percent: described(
      z.number().nullable(),
      "the part of the interval in which a receiver's window held the sending back, 0 to 100; of the connection with the most",
    ),
    device_sent_bytes: bytes(
      "sent by the network devices of the job, all protocols; only in a network namespace that it has alone",
    ),
    device_received_bytes: bytes("received by the same devices"),
    device_sent_bytes_per_second: bytesPerSecond("sent by the same devices in the interval"),
    device_received_bytes_per_second: bytesPerSecond("received by the same devices in the interval"),
  })
  .meta({
    id: "Network",
    description:
      "What a job sends and receives over TCP, as the kernel counts it. Other protocols are only in the keys of devices.",
  });

const media = z
  .strictObject({
    source: described(
      z.enum(["progress", "log", "playlist", "input", "none"]),
      "where the media time comes from: the file of `-progress`; the last status line in a log; the HLS playlist that is written; the place in the input file; `none`: nowhere",
    ),
    media_seconds: described(z.number().nullable(), "media time that the job has processed, in seconds"),
    length_seconds: described(
      z.number().nullable(),
      "media time of the whole, in seconds; `null`: there is no end, or it is not known",
    ),
    percent: described(
      z.number().nullable(),
      "the part that is processed, 0 to 99; the rest is the end of the process",
    ),
    percent_is_estimate: described(
      z.boolean(),
      "`percent` is the place in the input file, which is not proportional to time; or segments had left the playlist before it was read first",
    ),
    speed: described(
      z.number().nullable(),
      "media time per time, 1 is real time; over the last 15 seconds, or four segments of a playlist",
    ),
    speed_over_seconds: described(
      z.number().nullable(),
      "the time over which `speed` was measured; shorter at first",
    ),
    remaining_seconds: described(z.number().nullable(), "the time that the rest takes at this speed"),
    state: described(
      z.enum(["running", "finishing", "stuck"]).nullable(),
      "`finishing`: all input is processed. `stuck`: no progress for 2 minutes. `null`: not known",
    ),
  })
  .meta({ id: "Media", description: "How far a job is." });

export const jobUse = z
  .strictObject({
    time: described(z.iso.datetime(), "when it was measured; ISO 8601 in UTC"),
    kind: described(z.literal("job"), "a job's own use"),
    job_id: jobSchema.shape.job_id,
    pid: jobSchema.shape.pid,
    user: listed.shape.user,
    tenant: jobSchema.shape.tenant,
    interval_seconds: described(
      z.number().nullable(),
      "the time over which the rates were measured; `null`: the job is new, and they are not known yet",
    ),
    ...present,
    ...rates,
    gpu: described(
      gpuUse.nullable(),
      "what its processes use of NVIDIA GPUs; `null`: the driver knows none of them, there is no driver, or its PIDs are those of another pid namespace",
    ),
    ...waits,
    ...details,
    network: described(network.nullable(), "what it sends and receives; `null`: not visible"),
    media: described(media, "how far it is"),
    hindrance: described(
      hindranceSchema.nullable(),
      "what has held it back for 30 seconds or longer; `null`: nothing is known to",
    ),
    ...shares,
  })
  .meta({ id: "JobUse", description: "What a job uses now." });

export const tenantUse = z
  .strictObject({
    time: jobUse.shape.time,
    kind: described(z.literal("tenant"), "the use of all jobs of a tenant; only when no jobs are named"),
    tenant: described(z.string(), "the name of the tenant"),
    job_count: described(z.number().int(), "the number of its running jobs"),
    cpu_percent: present.cpu_percent,
    memory_bytes: bytes("the sum of its jobs"),
    memory_rss_bytes: bytes("the sum of its jobs"),
    process_count: count("the sum of its jobs"),
    ...rates,
  })
  .meta({
    id: "TenantUse",
    description: "What the jobs of a tenant use now. A sum is `null` if one job's is.",
  });

export const deviceUse = z
  .strictObject({
    time: jobUse.shape.time,
    kind: described(
      z.literal("gpu"),
      "the use of one NVIDIA GPU by all programs; only when no jobs are named",
    ),
    index: described(z.number().int(), "the number of the device, as nvidia-smi shows it"),
    name: text("the model; `null`: the driver does not tell it"),
    sm_percent: percentOfGpu("the time in which the streaming multiprocessors were in use"),
    encoder_percent: percentOfGpu("the use of its video encoders"),
    decoder_percent: percentOfGpu("the use of its video decoders"),
    memory_bytes: bytes("the device memory in use"),
    memory_total_bytes: bytes("the device memory"),
  })
  .meta({ id: "GpuDevice", description: "What all programs together use of one NVIDIA GPU." });
const usagePoint = z
  .strictObject({
    start_time: described(z.iso.datetime(), "the end of the point before; ISO 8601 in UTC"),
    end_time: z.iso.datetime(),
    cpu_seconds: seconds("CPU time"),
    quota_periods: count("the periods of the CPU quota in which the job could run"),
    throttled_periods: count("those in which the quota stopped it"),
    io_read_bytes: bytes("data read from disks"),
    io_write_bytes: bytes("data written to disks"),
    cpu_pressure_seconds: jobUsageSchema.shape.cpu_pressure_seconds,
    memory_pressure_seconds: jobUsageSchema.shape.memory_pressure_seconds,
    memory_full_pressure_seconds: seconds("time in which all threads that could have run waited for memory"),
    io_pressure_seconds: jobUsageSchema.shape.io_pressure_seconds,
    io_full_pressure_seconds: seconds("time in which all threads that could have run waited for a disk"),
    memory_min_bytes: bytes("the least memory that was in use when it was read, as in ps"),
    memory_max_bytes: bytes("the most"),
    process_count_min: count("the least number of its processes"),
    process_count_max: count("the greatest number"),
    tcp_sent_bytes: bytes("bytes over TCP that were acknowledged, as watch knew at the end of the point"),
    tcp_received_bytes: bytes("bytes over TCP that arrived"),
    media_seconds: seconds("media time that was processed; divided by the time it is the speed"),
    speed_min: described(z.number().nullable(), "the least speed over 15 s"),
    speed_max: described(z.number().nullable(), "the greatest"),
    send_backlog_min_seconds: seconds("the least backlog of the connection with the most"),
    send_backlog_max_seconds: seconds("the greatest"),
  })
  .meta({
    id: "UsagePoint",
    description: "What a job used in a span of time. Counters are counts, not rates.",
  });

const usageHistory = z
  .strictObject({
    point_seconds: described(
      z.number(),
      "the length of a point; the last one can be shorter, and one across a restart of watch longer",
    ),
    points: described(z.array(usagePoint), "from the first reading on; at most 360"),
  })
  .meta({ id: "UsageHistory", description: "What a job used during its life, as watch has measured it." });

export const inspected = jobSchema
  .extend({
    carried_limits: described(
      z.record(z.string(), z.string()),
      "limits of the cgroup that the processes left for one beside it, which stay in force: content of each file",
    ),
    processes: described(z.array(z.number()), "the processes in the job's cgroups"),
    ...presentMemory,
    usage: described(jobUsageSchema, "what the job has used until now, or had used at its end"),
    usage_history: described(
      usageHistory.nullable(),
      "what it used over time, until now or its end, or as of the last 5 minutes where the user may not ask watch; `null`: no watch has measured it, or only for a moment",
    ),
    usage_last_10_minutes: described(
      usageHistory.nullable(),
      "the same, of the last 10 minutes; `null`: it has ended, or watch does not answer",
    ),
    usage_last_6_hours: described(
      usageHistory.nullable(),
      "the same, of the last 6 hours, in points of a minute; `null`: it has ended, or watch does not answer",
    ),
    network: described(
      network.nullable(),
      "what it sends and receives, without rates; `null`: not visible, or it has ended",
    ),
    media: described(media.nullable(), "how far it is, without speed; `null`: it has ended"),
    hindrance: described(
      hindranceSchema.nullable(),
      "what has held it back for 30 seconds or longer; `null`: nothing is known to, watch does not answer, or it has ended",
    ),
    result: described(resultSchema.nullable(), "the end of the job; `null`: it has not ended"),
    events: described(z.array(eventSchema), "the job's history, oldest first"),
  })
  .meta({ id: "InspectedJob", description: "A job with all that is known about it." });

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
const limitChanges = z.union([changedLimits, z.array(z.union([changedLimits, unchangedLimits]))]);

const started = z
  .strictObject({
    job_id: described(z.string(), "the job's id"),
    pid: count("the workload's process"),
  })
  .meta({ id: "StartedJob", description: "A job that was started, or that is observed, in the background." });

const returned = z
  .strictObject({
    pid: described(z.number(), "the process"),
    was_detached: described(z.boolean(), "it was detached by hand until now, and left alone"),
    job_id: text("the job as which `ffrtmp watch` governs it now; `null`: none yet"),
  })
  .meta({ id: "ReturnedProcess", description: "A process that is given back to the policy." });

const rate = z.strictObject({
  eligible: described(z.number(), "jobs with `--sla-eligible` that ended in the period"),
  compliant: described(z.number(), "the eligible jobs for which the platform did its part"),
  violations: described(z.number(), "the other eligible jobs"),
  rate_percent: described(
    z.number().nullable(),
    "the share of the compliant jobs, in percent, rounded down to 0.01; `null`: no eligible job ended",
  ),
  reasons: described(
    z.array(z.strictObject({ reason: z.string(), jobs: z.number() })),
    "the violations by their `platform_sla_reason`, the most frequent first",
  ),
});

export const slaRates = z
  .strictObject({
    since: time("the start of the period"),
    until: time("the end of the period, which is not in it"),
    overall: described(rate, "the jobs of all tenants, and those without one"),
    tenants: described(
      z.array(rate.extend({ tenant: text("the tenant; `null`: jobs without one") })),
      "the jobs of each tenant, the lowest rate first",
    ),
    not_eligible: described(z.number(), "jobs that ended in the period and are not eligible"),
  })
  .meta({ id: "SlaRates", description: "How often the platform did its part in a period." });

const fleetSla = slaRates
  .extend({
    nodes: described(
      z.array(rate.extend({ node: z.string() })),
      "the jobs of each node, the lowest rate first",
    ),
  })
  .meta({
    id: "FleetSlaRates",
    description: "How often the platforms of a fleet did their part in a period.",
  });
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

const daemon = z
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
    late_reads: count("facts that processes did not let be read in time"),
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

const health = z
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

const fault = z
  .strictObject({
    line: described(z.number(), "from 1"),
    column: described(z.number(), "in characters, from 1"),
    key: described(z.string(), "the key with the keys around it; empty for the file as a whole"),
    text: described(z.string(), "the text at this place; empty when something is missing"),
    message: described(z.string(), "continues a sentence that begins with the text"),
    right: described(z.string(), "a valid value"),
  })
  .meta({ id: "PolicyFault", description: "An error, or a likely mistake, in a policy file." });

const policyCheck = z
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
  .meta({ id: "Plan", description: "What would be changed for a process." });

const explained = z
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

const planned = z
  .strictObject({
    pid: z.number(),
    job_id: described(z.string(), "the id that the job would have"),
    decision: described(z.looseObject({ govern: z.boolean() }), "the decision of the policy"),
    would: described(plan, "the planned changes"),
  })
  .meta({ id: "PlannedJob", description: "A process that would be governed." });

const check = z
  .strictObject({
    name: described(z.string(), "the feature"),
    works: described(z.boolean(), "the feature works on this machine with these rights"),
    found: described(z.string(), "a version, a path, or the reason why it does not work"),
    cost: described(z.string().optional(), "the consequence; absent where the feature works"),
  })
  .meta({ id: "Check", description: "The result of trying one feature." });

const pruned = z
  .strictObject({
    dry_run: described(z.boolean(), "nothing was deleted"),
    jobs: described(z.number(), "jobs deleted"),
    newest_end: time("the latest end among them; `null`: no job was deleted"),
    logs: described(z.number(), "log files deleted"),
    log_bytes: bytes("the size of these log files"),
    ledger_bytes_before: bytes("the part of the ledger that was in use before"),
    ledger_bytes_after: bytes("the part of the ledger that is in use afterwards"),
    ledger_bytes_free: bytes("the part of the ledger's file that is free for new jobs"),
    faults: described(z.array(z.string()), "what could not be deleted, with the reason"),
  })
  .meta({ id: "Pruned", description: "The history that was deleted." });

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

const peak = z.strictObject({
  cores: described(z.number(), "the 95th percentile of the cores in use in a second"),
  samples: described(z.number().int(), "the number of samples"),
  sample_seconds: described(z.number(), "the length of a sample"),
  is_estimate: described(
    z.boolean(),
    "samples are longer than 2.5 seconds, and the percentile is estimated from their means",
  ),
});

const capacity = z
  .strictObject({
    like: text("the job, or `rule NAME`, that the further streams are like; `null`: none is known"),
    fits: described(
      z.number().int().nullable(),
      "how many more streams fit: the least of all bounds; `null`: not known",
    ),
    binding: described(
      z.enum(["cores", "tenant", "weights"]).nullable(),
      "the bound that allows the fewest; `null`: none is known",
    ),
    candidate: described(peak.nullable(), "what one of them uses at its peak; `null`: not known"),
    running: described(
      peak
        .extend({
          is_sum_of_peaks: described(
            z.boolean(),
            "they have not run together for long enough: it is the sum of the peak of each",
          ),
        })
        .nullable(),
      "what the streams that run now use together at their peak; `null`: not known",
    ),
    streams: described(
      z.array(z.string()),
      "the ids of the jobs that run now, without those with the intent `batch` or `best-effort`",
    ),
    bounds: described(
      z.array(
        z.strictObject({
          kind: described(
            z.enum(["cores", "tenant", "weights"]),
            "`cores`: 90 % of the cores. `tenant`: the total of the tenant. `weights`: all streams get what they need when everything else is busy",
          ),
          limit_cores: described(
            z.number(),
            "the cores that all streams can have together; of `weights`: those that they and the ones that fit, at least one, are sure of",
          ),
          used_cores: described(z.number(), "the cores that those which run now use at their peak"),
          fits: described(z.number().int(), "how many more streams it allows"),
        }),
      ),
      "the bounds that are known",
    ),
    unknown: described(z.array(z.string()), "what is not known, and what would help"),
  })
  .meta({ id: "Capacity", description: "How many more streams fit on this machine." });

export interface JsonDocument {
  /** The command with `--json`, and the option that selects this document, if any. */
  command: string;
  option?: string;
  /** `lines`: one object a line, while the command runs. `stderr`: one object on a line of stderr. */
  form: "document" | "lines" | "stderr";
  schema: z.ZodType;
}

const remote = z
  .looseObject({ host: text("the machine, as `--on` names it") })
  .meta({ id: "Remote", description: "An object of another machine, with all keys that it has there." });

/** All documents that commands print. The first one that fits a command line is the one it prints. */
export const JSON_DOCUMENTS: readonly JsonDocument[] = [
  { command: "run", option: "--detach", form: "document", schema: started },
  // On stderr: stdout belongs to the workload.
  { command: "run", form: "stderr", schema: resultSchema },
  { command: "attach", option: "--policy", form: "document", schema: returned },
  { command: "attach", option: "--detach", form: "document", schema: started },
  { command: "attach", form: "document", schema: resultSchema },
  { command: "ps", option: "--on", form: "document", schema: z.array(remote) },
  { command: "ps", option: "--daemon", form: "document", schema: daemon.nullable() },
  { command: "ps", form: "document", schema: z.array(listed) },
  { command: "stats", option: "--on", form: "lines", schema: remote },
  { command: "stats", form: "lines", schema: z.union([jobUse, tenantUse, deviceUse, machineUse]) },
  { command: "capacity", form: "document", schema: capacity },
  { command: "inspect", form: "document", schema: inspected },
  { command: "history", option: "--on", form: "document", schema: z.array(remote) },
  { command: "history", option: "--sla", form: "document", schema: slaRates },
  { command: "wait", form: "lines", schema: resultSchema },
  { command: "events", form: "lines", schema: logLine },
  { command: "history", form: "document", schema: z.array(resultSchema) },
  { command: "watch", option: "--dry-run", form: "document", schema: z.array(planned) },
  { command: "detach", form: "document", schema: resultSchema },
  { command: "limits set", form: "document", schema: limitChanges },
  { command: "limits reset", form: "document", schema: limitChanges },
  { command: "prune", form: "document", schema: pruned },
  { command: "policy check", form: "document", schema: policyCheck },
  { command: "policy explain", option: "--all", form: "document", schema: z.array(explained) },
  { command: "policy explain", form: "document", schema: explained },
  { command: "health", option: "--on", form: "document", schema: z.array(remote) },
  { command: "health", form: "document", schema: health },
  { command: "watch", form: "lines", schema: logged },
  { command: "fleet ps", form: "document", schema: z.array(nodeJson) },
  { command: "fleet jobs", form: "document", schema: z.array(fleetJobJson) },
  { command: "fleet results", form: "document", schema: z.array(fleetResultJson) },
  { command: "fleet sla", form: "document", schema: fleetSla },
  { command: "doctor", form: "document", schema: z.array(check) },
];

export type ChangedLimitsJson = z.input<typeof changedLimits>;
export type UnchangedLimitsJson = z.input<typeof unchangedLimits>;
export type ReturnedJson = z.input<typeof returned>;
