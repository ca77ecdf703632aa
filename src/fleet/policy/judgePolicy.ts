import { type PolicyBody, policyBody } from "../messages/control.ts";
import { parseJson } from "../messages/parseJson.ts";
import { isDocumentFault, openDocument, type SignedDocument, signedDocument } from "../messages/signed.ts";
import { compareWithKept, highestSerial, type Kept } from "../trust/kept.ts";
import { digestOf, isSelected } from "./selection.ts";

/** The node that judges a policy. */
export interface PolicyRecipient {
  readonly node: string;
  readonly ring: string;
  readonly trusted: ReadonlySet<string>;
  /** The policies of this ring that it has accepted. */
  readonly kept: Kept;
  readonly nowMs: number;
}

/**
 * The verdict about a policy from the hub. `current`: it is the one that was accepted last. `unselected`: it is for a share of the
 * ring without this node. `serial` is known where the signature is good.
 */
export type PolicyVerdict =
  | { verdict: "acceptable"; document: SignedDocument; body: PolicyBody }
  | { verdict: "current"; serial: number }
  | { verdict: "unselected" | "refused"; serial?: number; why: string };

/** Judges a document by everything but the policy in it. The order matters: nothing is believed before the signature. */
export function judgePolicy(bytes: Uint8Array, to: PolicyRecipient): PolicyVerdict {
  const { data: document } = signedDocument.safeParse(parseJson(bytes));
  if (document === undefined) return refused("it is no signed document of this release");
  const body = openDocument(document, "policy", policyBody, to.trusted);
  if (isDocumentFault(body)) return refused(body.why);
  const { serial } = body;
  if (body.ring !== to.ring) return refused(`it is for the ring ${body.ring}, not for ${to.ring}`, serial);
  if (digestOf(body.yaml) !== body.sha256) return refused("its digest is not that of its text", serial);
  const order = compareWithKept(to.kept, document, serial, to.trusted);
  if (order === "same") return { verdict: "current", serial };
  if (order === "older")
    return refused(
      `it is older than serial ${highestSerial(to.kept, to.trusted)}, which this node had already`,
      serial,
    );
  if (Date.parse(body.not_after) < to.nowMs) return refused(`it expired at ${body.not_after}`, serial);
  if (!isSelected(body.percent, to.node, body.sha256))
    return {
      verdict: "unselected",
      serial,
      why: `it is for ${body.percent} % of the ring, without this node`,
    };
  return { verdict: "acceptable", document, body };
}

function refused(why: string, serial?: number): PolicyVerdict {
  return { verdict: "refused", why, ...(serial === undefined ? {} : { serial }) };
}
