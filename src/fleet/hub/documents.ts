import { JetStreamApiError, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../jobs/errors.ts";
import { MAX_MESSAGE_BYTES } from "../messages/limits.ts";
import { type SignedDocument, signedDocument } from "../messages/signed.ts";
import { WRONG_LAST_SEQUENCE } from "../messages/storeErrors.ts";
import { DOCUMENTS } from "../messages/subjects.ts";
import { digestOf } from "../policy/selection.ts";
import { readMessages } from "./readStream.ts";

/** Subjects, headers and the client's own lines take a part of a message. */
const MAX_DOCUMENT_BYTES = MAX_MESSAGE_BYTES - 4096;

/** A document as the hub has it. What is in it is not proven before its signature. */
export interface StoredDocument {
  readonly subject: string;
  /** Its number in the stream, behind which the next one is stored. */
  readonly seq: number;
  /** By the clock of the hub: ms since the epoch. */
  readonly atMs: number;
  /** The SHA-256 of its bytes, in hex, by which nodes name it. */
  readonly digest: string;
  /** `undefined`: it is of no form that this release knows. */
  readonly document: SignedDocument | undefined;
}

/** Reads the documents at a subject, or at a pattern of subjects, the oldest first: the last 10 of each. */
export async function readDocuments(connection: NatsConnection, subjects: string): Promise<StoredDocument[]> {
  const { messages } = await readMessages(connection, DOCUMENTS, [subjects]);
  return messages.map(({ data, json, ...stored }) => ({
    ...stored,
    digest: digestOf(data),
    document: signedDocument.safeParse(json).data,
  }));
}

/**
 * Stores a document behind the last one that was read, whose number is `after`; 0: none. Returns its digest, or `moved` where
 * another one has been stored meanwhile. Throws a Refusal for one that is too long.
 */
export async function storeDocument(
  connection: NatsConnection,
  subject: string,
  document: SignedDocument,
  after: number,
): Promise<{ digest: string } | "moved"> {
  const text = JSON.stringify(document);
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_DOCUMENT_BYTES)
    throw new Refusal(
      `the signed document has ${bytes} bytes, and the hub takes ${MAX_DOCUMENT_BYTES}`,
      "shorten it, such as by leaving out comments",
    );
  try {
    const expect = { streamName: DOCUMENTS, lastSubjectSequence: after };
    await jetstream(connection).publish(subject, text, { expect });
    return { digest: digestOf(text) };
  } catch (error) {
    if (error instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.includes(error.code)) return "moved";
    throw error;
  }
}
