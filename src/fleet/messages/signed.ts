import * as z from "zod/mini";
import { isSignedBy, type SigningKey, sign } from "../keys/signingKey.ts";

/** The kinds of documents that an operator signs. A signature of one kind is worth nothing for another. */
export type DocumentKind = "policy" | "node" | "template" | "job";

/**
 * A document with its signature. `body` is JSON as text: the signature is of its exact bytes, whatever a reader or a stream
 * does to JSON. Unknown keys are those of a later release; they are not signed.
 */
export const signedDocument = z.object({
  v: z.literal(1),
  kind: z.string(),
  body: z.string(),
  /** The public key of the signer (O…). */
  key: z.string(),
  /** Ed25519, as base64url. */
  sig: z.string(),
});

export type SignedDocument = z.output<typeof signedDocument>;

/** Why a document is not accepted. `untrusted`: it may be right, and this machine does not trust its signer. */
export interface DocumentFault {
  readonly fault: "unreadable" | "untrusted" | "forged";
  readonly why: string;
}

export function signDocument(kind: DocumentKind, body: object, key: SigningKey): SignedDocument {
  const text = JSON.stringify(body);
  return { v: 1, kind, body: text, key: key.publicKey, sig: sign(key, signedText(kind, text)) };
}

/** Returns the content of a document that one of the trusted keys has signed. The content is looked at only after that. */
export function openDocument<T>(
  document: unknown,
  kind: DocumentKind,
  schema: z.core.$ZodType<T>,
  trusted: ReadonlySet<string>,
): T | DocumentFault {
  const { data: envelope } = signedDocument.safeParse(document);
  if (envelope === undefined) return { fault: "unreadable", why: "it is no signed document of this release" };
  if (envelope.kind !== kind) return { fault: "unreadable", why: `it is a ${envelope.kind}, not a ${kind}` };
  if (!trusted.has(envelope.key))
    return { fault: "untrusted", why: `this machine does not trust its signer ${envelope.key}` };
  if (!isSignedBy(envelope.key, signedText(kind, envelope.body), envelope.sig))
    return { fault: "forged", why: `its signature is not by ${envelope.key}` };
  return parseBody(envelope.body, schema);
}

/** Returns the content of a document without a look at its signature, to show it. */
export function readUnverified<T>(document: SignedDocument, schema: z.core.$ZodType<T>): T | DocumentFault {
  return parseBody(document.body, schema);
}

export function isDocumentFault(value: unknown): value is DocumentFault {
  return typeof value === "object" && value !== null && "fault" in value && "why" in value;
}

function parseBody<T>(body: string, schema: z.core.$ZodType<T>): T | DocumentFault {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return { fault: "unreadable", why: "its content is not JSON" };
  }
  const { data, error } = z.safeParse(schema, json);
  if (data !== undefined) return data;
  const [issue] = error?.issues ?? [];
  return { fault: "unreadable", why: `${issue?.path.join(".") || "its content"}: ${issue?.message}` };
}

function signedText(kind: DocumentKind, body: string): string {
  return `ffrtmp-fleet-1\n${kind}\n${body}`;
}
