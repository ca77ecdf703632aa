import { z } from "zod";
import { described } from "../jobs/jsonSchemas.ts";

export const media = z
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
  .meta({ id: "Media", description: "The progress of a job in its media." });
