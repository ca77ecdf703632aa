import * as z from "zod/mini";

const serial = z.int().check(z.positive());

/** The body of a document of the kind "policy", at `$KV.FLEET.policy.<ring>`. A node accepts serials that rise only. */
export const policyBody = z.object({
  v: z.literal(1),
  serial,
  ring: z.string(),
  /** The share of the ring's nodes that it is for, by a hash of the node's name and of the text. */
  percent: z.number().check(z.minimum(0), z.maximum(100)),
  /** After this time, no node begins to use it. A node that uses it already continues. */
  not_after: z.iso.datetime(),
  /** The SHA-256 of `yaml` in hex, for an operator to compare. The signature covers it. */
  sha256: z.string(),
  /** A policy file. */
  yaml: z.string(),
  /** The serial that it replaces; `null`: none. */
  supersedes: z.nullable(serial),
  by: z.string(),
  at: z.iso.datetime(),
});

/** The body of a document of the kind "node", at `$KV.FLEET.node.<node>`: what the operator wants of one node. */
export const desiredBody = z.object({
  v: z.literal(1),
  node: z.string(),
  serial,
  /** The node claims no further jobs; `null`: it may. */
  cordon: z.nullable(z.object({ reason: z.string() })),
  /** The ring of policies that it belongs to; `null`: the one of its own configuration. */
  ring: z.nullable(z.string()),
  by: z.string(),
  at: z.iso.datetime(),
});

export type PolicyBody = z.output<typeof policyBody>;
export type DesiredBody = z.output<typeof desiredBody>;
