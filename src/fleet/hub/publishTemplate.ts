import type { NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../jobs/errors.ts";
import type { SigningKey } from "../keys/signingKey.ts";
import { isDocumentFault, readUnverified, signDocument } from "../messages/signed.ts";
import { templateSubject } from "../messages/subjects.ts";
import { type TemplateBody, templateBody } from "../messages/template.ts";
import { readDocuments, storeDocument } from "./documents.ts";

/** How far the clock of another operator may be ahead. */
const MAX_AHEAD_MS = 86_400_000;

export interface StoredTemplate {
  /** Its number in the stream. */
  readonly seq: number;
  /** The public key of its signer. Its content is not proven. */
  readonly key: string;
  readonly body: TemplateBody;
}

/** Reads the last template of a name; `undefined`: the hub has none that this release can read. */
export async function readStoredTemplate(
  connection: NatsConnection,
  name: string,
): Promise<{ seq: number; template: StoredTemplate | undefined }> {
  const last = (await readDocuments(connection, templateSubject(name))).at(-1);
  const seq = last?.seq ?? 0;
  if (last?.document === undefined) return { seq, template: undefined };
  const body = readUnverified(last.document, templateBody);
  const isRead = !isDocumentFault(body);
  return { seq, template: isRead ? { seq, key: last.document.key, body } : undefined };
}

/**
 * Signs a template and stores it as the last one of its name. `seen`: the serial of the one that the operator wants to replace.
 * Returns the one that it replaces; `undefined`: there was none. Throws a Refusal for one of another operator that `seen` does not
 * name, and where one is stored meanwhile: neither is replaced unseen.
 */
export async function publishTemplate(
  connection: NatsConnection,
  key: SigningKey,
  content: Pick<TemplateBody, "name" | "yaml" | "by">,
  seen: number | undefined,
): Promise<TemplateBody | undefined> {
  const { name, by } = content;
  const { seq, template } = await readStoredTemplate(connection, name);
  const before = template?.body;
  checkSeen(before, by, seen);
  const at = new Date();
  // Rises with the clock of the operator, on whichever machine that is, and also where the one before was ahead.
  const last = before !== undefined && isPlausible(before, at.getTime()) ? before.serial : 0;
  const serial = Math.max(at.getTime(), last + 1);
  const body: TemplateBody = { v: 1, ...content, serial, at: at.toISOString() };
  const stored = await storeDocument(
    connection,
    templateSubject(name),
    signDocument("template", body, key),
    seq,
  );
  if (stored === "moved")
    throw new Refusal(
      `another template ${name} was pushed meanwhile, and is not replaced`,
      `ffrtmp fleet template show ${name}`,
    );
  return before;
}

/**
 * Returns false for a serial that no clock gives. Nobody has proven it, and nodes keep the highest that they have used: once signed, it
 * would leave no higher ones.
 */
export function isPlausible({ serial }: TemplateBody, nowMs: number): boolean {
  return serial <= nowMs + MAX_AHEAD_MS;
}

function checkSeen(before: TemplateBody | undefined, by: string, seen: number | undefined): void {
  if (before === undefined || before.serial === seen || (seen === undefined && before.by === by)) return;
  const { name, serial } = before;
  throw new Refusal(
    `the template ${name} at the hub is that of ${before.by}, of ${before.at}, and is not replaced`,
    `ffrtmp fleet template show ${name}; then push with --replace ${serial}`,
  );
}
