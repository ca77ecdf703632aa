import { z } from "zod";
import { described, text } from "../jobs/jsonSchemas.ts";

const peak = z.strictObject({
  cores: described(z.number(), "the 95th percentile of the cores in use in a second"),
  samples: described(z.number().int(), "the number of samples"),
  sample_seconds: described(z.number(), "the length of a sample"),
  is_estimate: described(
    z.boolean(),
    "samples are longer than 2.5 seconds, and the percentile is estimated from their means",
  ),
});

export const capacity = z
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
