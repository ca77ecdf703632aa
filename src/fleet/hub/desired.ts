import type { NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../jobs/errors.ts";
import type { SigningKey } from "../keys/signingKey.ts";
import { type DesiredBody, desiredBody } from "../messages/control.ts";
import type { NodeMessage } from "../messages/node.ts";
import { isDocumentFault, openDocument, readUnverified, signDocument } from "../messages/signed.ts";
import { desiredSubject } from "../messages/subjects.ts";
import { readDocuments, storeDocument } from "./documents.ts";
import { nextSerial } from "./serials.ts";

/** Commands that run at once change different keys of the document, so each begins again with the other's. */
const TRIES = 5;

export interface DesiredChange {
  readonly cordon?: DesiredBody["cordon"];
  readonly ring?: DesiredBody["ring"];
}

/**
 * Changes what the operator wants of a node, and keeps the rest. `report`: the last one of the node, which can have accepted a
 * higher serial than the hub knows. Returns the document that is stored now.
 */
export async function changeDesired(
  connection: NatsConnection,
  key: SigningKey,
  node: string,
  report: NodeMessage | undefined,
  change: DesiredChange & { readonly by: string },
): Promise<DesiredBody> {
  const subject = desiredSubject(node);
  const trusted = new Set([key.publicKey]);
  for (let tries = 0; tries < TRIES; tries++) {
    const stored = await readDocuments(connection, subject);
    const own: DesiredBody[] = [];
    const others: [string, number][] = [["the node", report?.desired ?? 0]];
    for (const { document } of stored) {
      if (document === undefined) continue;
      const body = openDocument(document, "node", desiredBody, trusted);
      if (!isDocumentFault(body) && body.node === node) own.push(body);
      else {
        const foreign = readUnverified(document, desiredBody);
        if (!isDocumentFault(foreign)) others.push([`a document signed by ${document.key}`, foreign.serial]);
      }
    }
    // Not the last one of the stream: the hub can have stored an older one again.
    const last = own.toSorted((a, b) => a.serial - b.serial).at(-1);
    const { serial } = nextSerial(last?.serial ?? 0, others);
    const body: DesiredBody = {
      ...{ v: 1, node, serial, cordon: last?.cordon ?? null, ring: last?.ring ?? null },
      ...change,
      at: new Date().toISOString(),
    };
    const document = signDocument("node", body, key);
    const outcome = await storeDocument(connection, subject, document, stored.at(-1)?.seq ?? 0);
    if (outcome !== "moved") return body;
  }
  throw new Refusal(`other commands change what is wanted of ${node} all the time`, "try again");
}
