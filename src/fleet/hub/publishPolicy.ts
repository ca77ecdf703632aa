import type { NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../jobs/errors.ts";
import type { SigningKey } from "../keys/signingKey.ts";
import type { PolicyBody } from "../messages/control.ts";
import { signDocument } from "../messages/signed.ts";
import { policySubject } from "../messages/subjects.ts";
import { digestOf } from "../policy/selection.ts";
import { storeDocument } from "./documents.ts";
import { readPolicies, type StoredPolicy } from "./ringPolicies.ts";
import type { ReportingNode } from "./rollout.ts";
import { nextSerial } from "./serials.ts";

export interface WantedPolicy {
  readonly ring: string;
  readonly yaml: string;
  readonly percent: number;
  /** ms since the epoch. */
  readonly notAfterMs: number;
  readonly by: string;
}

export interface Published {
  readonly body: PolicyBody;
  /** The digest of its document. */
  readonly digest: string;
  /** Serials that no fleet reaches by counting, with their sources. They are left out. */
  readonly implausible: readonly string[];
}

/**
 * Signs a policy and stores it as the last one of its ring. `choose` gets the policies of the ring, the oldest first. Throws a
 * Refusal where another operator has stored one meanwhile: it is not replaced unseen.
 */
export async function publishPolicy(
  connection: NatsConnection,
  key: SigningKey,
  ring: string,
  nodes: readonly ReportingNode[],
  choose: (policies: readonly StoredPolicy[]) => Omit<WantedPolicy, "ring">,
): Promise<Published> {
  const policies = await readPolicies(connection, key.publicKey, ring);
  const { yaml, percent, notAfterMs, by } = choose(policies);
  const { serial, implausible } = nextSerial(
    Math.max(0, ...policies.map(({ isOwn, body }) => (isOwn ? (body?.serial ?? 0) : 0))),
    [...serialsOfNodes(nodes, ring), ...serialsOfOthers(policies)],
  );
  const last = policies.at(-1);
  const body: PolicyBody = {
    v: 1,
    serial,
    ring,
    percent,
    not_after: new Date(notAfterMs).toISOString(),
    sha256: digestOf(yaml),
    yaml,
    supersedes: last?.body?.serial ?? null,
    by,
    at: new Date().toISOString(),
  };
  const document = signDocument("policy", body, key);
  const stored = await storeDocument(connection, policySubject(ring), document, last?.seq ?? 0);
  if (stored === "moved")
    throw new Refusal(
      `another policy was pushed to the ring ${ring} meanwhile, and is not replaced`,
      "see ffrtmp fleet policy status, then push again",
    );
  return { body, digest: stored.digest, implausible };
}

function serialsOfNodes(nodes: readonly ReportingNode[], ring: string): [string, number][] {
  return nodes.flatMap(({ node, report }) =>
    report?.policy?.ring === ring ? [[`node ${node.node}`, report.policy.highest] as [string, number]] : [],
  );
}

function serialsOfOthers(policies: readonly StoredPolicy[]): [string, number][] {
  return policies.flatMap(({ isOwn, body, key }) =>
    isOwn || body === undefined ? [] : [[`a policy signed by ${key}`, body.serial] as [string, number]],
  );
}
