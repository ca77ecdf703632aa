import { z } from "zod";
import {
  bytes,
  count,
  described,
  eventSchema,
  jobSchema,
  jobUsageSchema,
  resultSchema,
  seconds,
} from "../jobs/jsonSchemas.ts";
import { hindranceSchema } from "./hindranceSchema.ts";
import { presentMemory } from "./jobUseSchemas.ts";
import { media } from "./mediaSchema.ts";
import { network } from "./networkSchema.ts";

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
    description: "The use of resources by a job in a span of time. Counters are counts, not rates.",
  });

const usageHistory = z
  .strictObject({
    point_seconds: described(
      z.number(),
      "the length of a point; the last one can be shorter, and one across a restart of watch longer",
    ),
    points: described(z.array(usagePoint), "from the first reading on; at most 360"),
  })
  .meta({
    id: "UsageHistory",
    description: "The use of resources by a job during its life, as watch has measured it.",
  });

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
