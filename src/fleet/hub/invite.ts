import { X509Certificate } from "node:crypto";
import { z } from "zod";
import { Refusal } from "../../jobs/errors.ts";
import { isNKeySeed } from "../keys/nkey.ts";
import { isSigningPublicKey } from "../keys/signingKey.ts";
import { isHubUrl, isNodeName } from "../nodeConfig.ts";

/** Everything that a machine needs to become a node. The seed makes it a secret. */
export interface Invite {
  readonly node: string;
  /** The addresses of the hub's servers, as `tls://host:port`. */
  readonly hub: readonly string[];
  /** The seed of the node's NKey. */
  readonly seed: string;
  /** The certificate of the fleet's authority, as PEM. */
  readonly authority: string;
  /** The pools whose jobs the node may claim. */
  readonly pools: readonly string[];
  /** The key of the operator that signs policies; `null`: the node gets none. */
  readonly policyKey: string | null;
}

/** The further parts of an invite. An earlier release leaves keys out, and a later one adds some. */
const moreParts = z.object({
  pools: z.array(z.string()).default([]),
  policyKey: z.string().nullable().default(null),
});

const PREFIX = "ffrtmp-invite-1";
const HINT = "copy the whole line that ffrtmp fleet invite prints on the operator's machine";

// ffrtmp-invite-1.<node>.<addresses, base64url>.<seed>.<certificate as DER, base64url>.<JSON, base64url>.<checksum>
export function formatInvite({ node, hub, seed, authority, ...more }: Invite): string {
  const [addresses, json] = [hub.join(","), JSON.stringify(more)].map((part) =>
    Buffer.from(part).toString("base64url"),
  );
  const text = [PREFIX, node, addresses, seed, pemToDer(authority), json].join(".");
  return `${text}.${checksum(text)}`;
}

/** Throws a Refusal for a text that is no invite, or a part of one. The text is a secret, and no message repeats it. */
export function parseInvite(text: string): Invite {
  const words = text.trim();
  // Where `ffrtmp fleet invite … |` has failed, and said so on the operator's machine.
  if (words === "") throw new Refusal("no invite was given: the input is empty", HINT);
  const [prefix, node = "", hub = "", seed = "", der = "", ...rest] = words.split(".");
  if (prefix !== PREFIX) {
    const reason = /^ffrtmp-invite-\d+$/.test(prefix ?? "")
      ? `it is of a later release (${prefix})`
      : `it does not begin with ${PREFIX}`;
    throw new Refusal(`this ffrtmp cannot use the invite: ${reason}`, HINT);
  }
  if (rest.at(-1) !== checksum(words.slice(0, words.lastIndexOf("."))))
    throw new Refusal("the invite is incomplete or was changed: its checksum is wrong", HINT);
  const addresses = Buffer.from(hub, "base64url").toString().split(",");
  const more = parseMore(rest.length > 1 ? rest[0] : undefined);
  const invite = {
    node,
    hub: addresses,
    seed,
    authority: derToPem(der),
    ...(more ?? { pools: [""], policyKey: null }),
  };
  const fault = faultOf(invite);
  if (fault !== undefined) throw new Refusal(`the invite is not one of ffrtmp: ${fault}`, HINT);
  return invite;
}

/** `undefined`: it is of no form that this release knows. An earlier release wrote no such part. */
function parseMore(part: string | undefined): z.output<typeof moreParts> | undefined {
  if (part === undefined) return moreParts.parse({});
  try {
    return moreParts.safeParse(JSON.parse(Buffer.from(part, "base64url").toString())).data;
  } catch {
    return undefined;
  }
}

/** What the configuration of a node would be refused for. */
function faultOf({ node, hub, seed, authority, pools, policyKey }: Invite): string | undefined {
  if (!isNodeName(node)) return "it does not name a node";
  if (!hub.every(isHubUrl)) return "it has no address of a hub";
  if (!isNKeySeed(seed)) return "it has no key";
  if (!pools.every(isNodeName)) return "it names no pool";
  if (policyKey !== null && !isSigningPublicKey(policyKey)) return "the key of its policies is none";
  return isCertificate(authority) ? undefined : "it has no certificate";
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).ca;
  } catch {
    return false;
  }
}

/** Finds a line that was cut or mistyped. It is no protection: who can change an invite can change its checksum. */
function checksum(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("base64url").slice(0, 8);
}

function pemToDer(pem: string): string {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64").toString("base64url");
}

function derToPem(der: string): string {
  const lines =
    Buffer.from(der, "base64url")
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
