import { z } from "zod";
import { bytes, count, described, jobSchema, resultSchema, text } from "../jobs/jsonSchemas.ts";
import { hindranceSchema } from "./hindranceSchema.ts";
import { media } from "./mediaSchema.ts";
import { network } from "./networkSchema.ts";

/** The keys of the present memory of one job. */
export const presentMemory = {
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
      "The use of NVIDIA GPUs by a job, as the driver reports it: averages over the driver's last sampling period. A percentage is `null` where the driver has no sample of the process, as for one that was idle.",
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
  .meta({ id: "JobUse", description: "The use of resources by a job now." });

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
    description: "The use of resources by the jobs of a tenant now. A sum is `null` if one job's is.",
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
  .meta({ id: "GpuDevice", description: "The use of one NVIDIA GPU by all programs together." });
