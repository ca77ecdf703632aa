import { z } from "zod";
import { bytes, count, described, resultSchema, text, time } from "../jobs/jsonSchemas.ts";
import { deviceUse, jobUse, listed, problem, slaRates, tenantUse } from "./schemas.ts";

/** The documents that a daemon shows about itself and its jobs. The web server and the control socket have the same ones. */

const percentOfTime = (what: string) =>
  described(z.number().nullable(), `the part of the last 10 s in which ${what}, 0 to 100`);

const machine = z
  .strictObject({
    cpu_count: described(z.number().int(), "the CPUs"),
    cpu_busy_percent: described(
      z.number().nullable(),
      "the busy part of all CPUs since the snapshot before, 0 to 100; `null`: there was none in the last 30 s",
    ),
    cpu_pressure_percent: percentOfTime("at least one thread waited for a CPU"),
    memory_pressure_percent: percentOfTime("at least one thread waited for memory"),
    memory_full_pressure_percent: percentOfTime("all threads that could have run waited for memory"),
    io_pressure_percent: percentOfTime("at least one thread waited for a disk"),
    io_full_pressure_percent: percentOfTime("all threads that could have run waited for a disk"),
    memory_total_bytes: bytes("the memory of the machine"),
    memory_available_bytes: bytes("memory that new programs can have without swapping"),
  })
  .meta({ id: "Machine", description: "What the whole machine uses, all programs together." });

const limitsInForce = z
  .strictObject({
    cpu_cores: described(z.number().nullable(), "the CPU quota in cores; `null`: none"),
    memory_high_bytes: bytes("the soft memory limit, above which the kernel reclaims; `null`: none"),
    memory_max_bytes: bytes("the hard memory limit, at which the kernel can kill; `null`: none"),
    task_count: count("the limit of processes and threads; `null`: none"),
  })
  .meta({
    id: "LimitsInForce",
    description:
      "Limits as numbers, to compare a use with. They are the values that the kernel had when they were written; limits that ffrtmp did not ask for are not in it.",
  });

export const jobView = listed
  .extend({
    use: described(jobUse.nullable(), "what it uses, with rates; `null`: not measured yet"),
    limits_in_force: limitsInForce,
    cpu_history: described(
      z.array(z.number().nullable()),
      "the cores that it used in the last 2 minutes, one value for each 5 s, oldest first; `null`: not known",
    ),
  })
  .meta({ id: "JobView", description: "A running job, with all that a screen shows about it." });

const tenantView = tenantUse
  .extend({ limits_in_force: described(limitsInForce, "the limits of the tenant's total") })
  .meta({ id: "TenantView", description: "A tenant with running jobs. A sum is `null` if one job's is." });

const runningCounts = {
  running: described(z.number().int(), "the jobs that run now"),
  hindered: count("those that something holds back; `null`: this is not judged"),
};

export const snapshotSchema = z
  .strictObject({
    time: described(z.iso.datetime(), "when the snapshot was made; ISO 8601 in UTC"),
    hostname: described(z.string(), "the name of the machine"),
    ffrtmp_version: described(z.string(), "the version of `ffrtmp watch`"),
    boot_time: described(z.iso.datetime(), "when the machine was started, to the second; ISO 8601 in UTC"),
    daemon_start_time: time("when `ffrtmp watch` was started"),
    daemon_pid: described(z.number().int(), "its process"),
    machine,
    counts: described(
      z.strictObject({
        ...runningCounts,
        by_tenant: described(
          z.array(z.strictObject({ tenant: text("the tenant; `null`: jobs without one"), ...runningCounts })),
          "the same for each tenant, by name",
        ),
      }),
      "the number of jobs",
    ),
    sla: described(slaRates, "the rates of the last 24 hours, of all jobs of this ledger; see `until`"),
    events: described(
      z.strictObject({
        source: described(z.string(), "how the daemon notices new processes"),
        dropped: count(
          "process events that the kernel dropped since the start of the daemon; `null`: the kernel does not count them",
        ),
      }),
      "the daemon's source of process events",
    ),
    problems: described(z.array(problem), "what an operator should know, the worst first"),
    jobs: described(z.array(jobView), "the running jobs, the oldest first"),
    tenants: described(z.array(tenantView), "the tenants with running jobs, the largest CPU use first"),
    gpus: described(z.array(deviceUse), "the NVIDIA GPUs; empty without a driver"),
    ended: described(z.array(resultSchema), "the last 20 jobs that ended, the latest first"),
  })
  .meta({
    id: "Snapshot",
    description:
      "All that is known now about the machine and its jobs. Values are those of the last readings: see the `time` of each `use`.",
  });

export type SnapshotJson = z.input<typeof snapshotSchema>;
export type JobViewJson = z.input<typeof jobView>;
export type TenantViewJson = z.input<typeof tenantView>;
