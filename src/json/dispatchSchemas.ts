import { z } from "zod";
import { described } from "../jobs/jsonSchemas.ts";
import { fault } from "./policySchemas.ts";

export const templateCheck = z
  .strictObject({
    path: described(z.string(), "the file of the template"),
    valid: described(z.boolean(), "the file can be used"),
    reason: described(
      z.string().nullable(),
      "why the file cannot be used, or why these values are refused; `null`: neither",
    ),
    faults: described(z.array(fault), "errors in the file"),
    argv: described(
      z.array(z.string()).nullable(),
      "what would be executed with the given values; `null`: none were given, or they are refused",
    ),
  })
  .meta({ id: "TemplateCheck", description: "The errors in a template of jobs, and what it would execute." });
