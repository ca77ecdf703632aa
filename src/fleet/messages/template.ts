import { z } from "zod";

/** The body of a document of the kind "template", at `$KV.FLEET.template.<name>`. */
export const templateBody = z.object({
  v: z.literal(1),
  name: z.string(),
  /** A node that has used one with a higher serial does not use this one any more. */
  serial: z.number().int().positive(),
  /** A file of templates.d. */
  yaml: z.string(),
  by: z.string(),
  at: z.iso.datetime(),
});

export type TemplateBody = z.output<typeof templateBody>;
