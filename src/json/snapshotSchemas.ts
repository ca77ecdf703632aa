import { z } from "zod";
import { bytes, count, described, resultSchema, text, time } from "../jobs/jsonSchemas.ts";
import { problem } from "./daemonSchemas.ts";
import { deviceUse, jobUse, listed, tenantUse } from "./jobUseSchemas.ts";
import { machineSchema } from "./machineSchema.ts";
import { slaRates } from "./slaSchemas.ts";

/** The documents that a daemon shows about itself and its jobs. The web server and the control socket have the same ones. */

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
    machine: machineSchema,
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
