import { z } from "zod";
import { MAX_ATTEMPTS } from "./job.ts";
import { signedDocument } from "./signed.ts";

/** The record that a job was submitted: its first message, which only the operator can write. */
export const submissionMessage = z.object({ v: z.literal(1), job: signedDocument });

/** In the place of a claim: the operator has withdrawn the attempt, so that no node can claim it any more. */
export const withdrawalMessage = z.object({
  v: z.literal(1),
  job: z.string(),
  attempt: z.number().int().min(1).max(MAX_ATTEMPTS),
  by: z.string(),
  at: z.iso.datetime(),
});

export type Submission = z.output<typeof submissionMessage>;
export type Withdrawal = z.output<typeof withdrawalMessage>;
