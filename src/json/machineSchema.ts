import { z } from "zod";
import { bytes, described } from "../jobs/jsonSchemas.ts";

const percentOfTime = (what: string) =>
  described(z.number().nullable(), `the part of the last 10 s in which ${what}, 0 to 100`);

export const machineSchema = z
  .strictObject({
    cpu_count: described(z.number().int(), "the CPUs"),
    cpu_busy_percent: described(
      z.number().nullable(),
      "the busy part of all CPUs since the reading before, 0 to 100; `null`: there was none in the last 30 s",
    ),
    cpu_pressure_percent: percentOfTime("at least one thread waited for a CPU"),
    memory_pressure_percent: percentOfTime("at least one thread waited for memory"),
    memory_full_pressure_percent: percentOfTime("all threads that could have run waited for memory"),
    io_pressure_percent: percentOfTime("at least one thread waited for a disk"),
    io_full_pressure_percent: percentOfTime("all threads that could have run waited for a disk"),
    memory_total_bytes: bytes("the memory of the machine"),
    memory_available_bytes: bytes("memory that new programs can have without swapping"),
  })
  .meta({ id: "Machine", description: "The use of the whole machine, by all programs together." });

export type MachineJson = z.input<typeof machineSchema>;

/** The line of `stats --json --machine`. */
export const machineUse = machineSchema
  .extend({
    time: described(z.iso.datetime(), "when it was measured; ISO 8601 in UTC"),
    kind: described(
      z.literal("machine"),
      "the use of the whole machine; only with `--machine`, as the last line of each interval",
    ),
    hostname: described(z.string(), "the name of the machine"),
    ffrtmp_version: described(z.string(), "the version of ffrtmp"),
    job_count: described(z.number().int(), "the number of jobs in the lines before it"),
  })
  .meta({ id: "MachineUse", description: "The use of the whole machine now, by all programs together." });

export type MachineUseJson = z.infer<typeof machineUse>;
