import type { NatsConnection } from "@nats-io/nats-core";
import { type PolicyBody, policyBody } from "../messages/control.ts";
import { isDocumentFault, openDocument, readUnverified } from "../messages/signed.ts";
import { policySubject } from "../messages/subjects.ts";
import { readDocuments } from "./documents.ts";

/** One policy of a ring that the hub has. */
export interface StoredPolicy {
  readonly ring: string;
  readonly seq: number;
  readonly atMs: number;
  /** The digest of its document. */
  readonly digest: string;
  /** The public key of its signer; `undefined`: it is no signed document. */
  readonly key: string | undefined;
  /** `undefined`: it is of no form that this release knows. */
  readonly body: PolicyBody | undefined;
  /** Signed by the operator's key; the hub could have made any other one. */
  readonly isOwn: boolean;
}

/** Reads the policies of a ring, or of all rings, the oldest first. */
export async function readPolicies(
  connection: NatsConnection,
  publicKey: string,
  ring = "*",
): Promise<StoredPolicy[]> {
  const prefix = policySubject("");
  const stored = await readDocuments(connection, policySubject(ring));
  return stored.map(({ subject, seq, atMs, digest, document }) => {
    const of = { ring: subject.slice(prefix.length), seq, atMs, digest, key: document?.key };
    if (document === undefined) return { ...of, body: undefined, isOwn: false };
    const own = openDocument(document, "policy", policyBody, new Set([publicKey]));
    if (!isDocumentFault(own) && own.ring === of.ring) return { ...of, body: own, isOwn: true };
    const body = readUnverified(document, policyBody);
    return { ...of, body: isDocumentFault(body) ? undefined : body, isOwn: false };
  });
}
