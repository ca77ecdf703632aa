import * as z from "zod/mini";
import { isNodeName } from "../token.ts";
import { signedDocument } from "./signed.ts";

/** A token of a subject, such as the id of a job. */
const token = z.string().check(z.refine(isNodeName, "expected 1 to 63 letters, digits, - or _"));

/** The label of a job on its node that names the job of the fleet. */
export const FLEET_JOB_LABEL = "fleet_job";

/** The most attempts that a job can be given. */
export const MAX_ATTEMPTS = 20;

/** A job as the operator signs it: the body of a document of the kind "job". */
export const jobBody = z.object({
  v: z.literal(1),
  id: token,
  pool: token,
  /** The name of a template that the node has. No message names a command. */
  template: token,
  params: z.record(z.string(), z.union([z.string(), z.number()])),
  attempts: z.int().check(z.minimum(1), z.maximum(MAX_ATTEMPTS)),
  /** The times between which an attempt may be claimed, in ISO 8601. */
  not_before: z.nullable(z.iso.datetime()),
  not_after: z.iso.datetime(),
  /** `if_lost`: the node that states its loss offers the next attempt. `never`: only an operator does. */
  rerun: z.enum(["never", "if_lost"]),
  labels: z.record(z.string(), z.string()),
  /** The operator who submitted it. */
  by: z.string(),
  at: z.iso.datetime(),
});

/** A message of the stream JOBS: one attempt, for any node of a pool. */
export const offerMessage = z.object({
  v: z.literal(1),
  attempt: z.int().check(z.minimum(1), z.maximum(MAX_ATTEMPTS)),
  job: signedDocument,
});

/** A message of the stream CLAIMS: this node, and no other, may start this attempt. It never expires. */
export const claimMessage = z.object({
  v: z.literal(1),
  job: token,
  attempt: z.int().check(z.minimum(1), z.maximum(MAX_ATTEMPTS)),
  node: token,
  ledger_id: z.string(),
  /**
   * Made by the node for this attempt. A claim with another one is not this node's to act on: its machine was cloned, or has lost
   * its records.
   */
  claim_id: z.optional(z.string()),
  /** The time of the node. */
  at: z.iso.datetime(),
  /** The job itself, so that an operator can offer it again when the queue has forgotten it. */
  offer: signedDocument,
});

/**
 * A statement that an attempt has ended without a result in the ledger of its node, or with one that says nothing about the
 * work; or that no node may claim it any more. It is never concluded from silence.
 */
export const lossMessage = z.object({
  v: z.literal(1),
  job: token,
  attempt: z.int().check(z.minimum(1), z.maximum(MAX_ATTEMPTS)),
  /** The node that claimed it. An operator states the loss in its place: `by` is not `null`. */
  node: token,
  /**
   * `rebooted`, `unobserved`: it may have run for a part or as a whole. `never started`, `refused`: it has not run here.
   * `expired`: no node has claimed it in time, and `node` has taken it out of the queue.
   */
  reason: z.enum(["rebooted", "unobserved", "never started", "refused", "expired", "stated"]),
  why: z.string(),
  by: z.nullable(z.string()),
  at: z.iso.datetime(),
});

export type JobBody = z.output<typeof jobBody>;
export type Offer = z.output<typeof offerMessage>;
export type Claim = z.output<typeof claimMessage>;
export type Loss = z.output<typeof lossMessage>;

/** The id of an attempt in the ledger of its node, which `run --once` accepts a single time. */
export function attemptId(job: string, attempt: number): string {
  return `${job}.${attempt}`;
}
