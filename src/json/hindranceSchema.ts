import { z } from "zod";
import { described, text } from "../jobs/jsonSchemas.ts";
import { VERDICTS } from "../jobs/model/hindered.ts";

const percentOfTime = (what: string) =>
  described(z.number().nullable(), `the part of the time in which ${what}, 0 to 100`);
const percentOrUnknown = (what: string) => described(z.number().nullable(), `${what}, 0 to 100`);

export const hindranceSchema = z
  .strictObject({
    verdict: described(z.enum(VERDICTS), "the cause: see [observing.md](observing.md#what-holds-a-job-back)"),
    text: described(z.string(), "the same in words, for people: it can change with each release"),
    since: described(z.iso.datetime(), "when it began; it is said 30 seconds later. ISO 8601 in UTC"),
    duration_seconds: described(z.number(), "from then to the last sample that showed it"),
    live: described(
      z.boolean(),
      "the job is live and falls behind; `false`: it only takes longer, or is not known to be live",
    ),
    needed_cores: described(
      z.number().nullable(),
      "the CPUs that a live job needs to keep its speed: what it uses divided by its speed; `null`: not known, or the cause is another one",
    ),
    limit: text(
      "the limit of ffrtmp that it is at: `cpu.max`, `tenant:cpu.max`, `governor:cpu.max`, `memory.high`, `memory.max` or `io.max`",
    ),
    evidence: described(
      z.strictObject({
        speed: described(z.number().nullable(), "media time per time"),
        target_speed: described(z.number().nullable(), "the speed of a live job; `null`: it is not live"),
        cpu_cores: described(z.number().nullable(), "CPU time per time"),
        available_cores: described(
          z.number().nullable(),
          "the CPUs that the machine, its CPU list and its quota leave it",
        ),
        other_cores: described(z.number().nullable(), "CPU time of everything else on the machine, per time"),
        throttled_percent: percentOrUnknown("the part of the quota's periods in which it was stopped"),
        tenant_throttled_percent: percentOrUnknown("the same of the quota of its tenant's total"),
        cpu_pressure_percent: percentOfTime("at least one thread waited for a CPU"),
        memory_full_pressure_percent: percentOfTime("all threads that could have run waited for memory"),
        io_full_pressure_percent: percentOfTime("all threads that could have run waited for a disk"),
        reread_percent: percentOrUnknown(
          "the part of what it read from disks that it had in memory shortly before",
        ),
        send_backlog_seconds: described(z.number().nullable(), "the least that waited to be sent"),
        receiver_limited_percent: percentOfTime("a receiver's window held the sending back"),
        input_quiet: described(
          z.boolean().nullable(),
          "what arrived was read at once; `null`: not known, as without an input over TCP",
        ),
        gpu_percent: percentOrUnknown("the use of the busiest encoder or decoder of its GPUs"),
      }),
      "what was measured over 15 seconds when it showed last; `null`: not known",
    ),
  })
  .meta({ id: "Hindrance", description: "The cause that holds a job back." });
