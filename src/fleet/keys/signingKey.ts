import type { KeyObject } from "node:crypto";
import { decodeNKey, encodeNKey, KEY_BYTES } from "./nkeyText.ts";

/**
 * A key with which the operator signs documents: an Ed25519 key pair in the form of an NKey of the kind "operator", so that it
 * is no user of the hub. The hub never has the seed. It needs nothing of the client of the hub: `ffrtmp watch`, which has no
 * network, verifies signatures with it.
 */
export interface SigningKey {
  /** SO…, the secret part. */
  readonly seed: string;
  /** O…, which nodes trust. */
  readonly publicKey: string;
}

/** The first bytes of NKeys: of a seed, and of the public key of an operator. */
const [SEED, OPERATOR] = [18 << 3, 14 << 3];
/** The first bytes of the seed of an operator: both kinds in 5 bits each. */
const SEED_HEAD = [SEED | (OPERATOR >> 5), (OPERATOR & 31) << 3];
/** PKCS #8 of an Ed25519 seed, and SubjectPublicKeyInfo of a public key: RFC 8410, sections 7 and 4. */
const PRIVATE_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_HEAD = Buffer.from("302a300506032b6570032100", "hex");

export function createSigningKey(): SigningKey {
  const bytes = nodeCrypto().randomBytes(KEY_BYTES);
  return { seed: encodeNKey(Uint8Array.from([...SEED_HEAD, ...bytes])), publicKey: publicKeyOf(bytes) };
}

/** Returns the key of a seed; `undefined` for any other text. */
export function signingKeyOf(seed: string): SigningKey | undefined {
  const bytes = seedBytes(seed);
  return bytes === undefined ? undefined : { seed, publicKey: publicKeyOf(bytes) };
}

export function isSigningPublicKey(text: string): boolean {
  return publicBytes(text) !== undefined;
}

/** Returns the signature of a text as base64url. */
export function sign(key: SigningKey, text: string): string {
  const bytes = seedBytes(key.seed);
  if (bytes === undefined) throw new Error("a signing key has no seed");
  return nodeCrypto().sign(null, Buffer.from(text), privateKey(bytes)).toString("base64url");
}

/** Returns true where the signature of a text is by this key; false for anything that is no signature. */
export function isSignedBy(publicKey: string, text: string, signature: string): boolean {
  const bytes = publicBytes(publicKey);
  if (bytes === undefined) return false;
  try {
    const key = nodeCrypto().createPublicKey({
      key: Buffer.concat([PUBLIC_HEAD, bytes]),
      format: "der",
      type: "spki",
    });
    return nodeCrypto().verify(null, Buffer.from(text), key, Buffer.from(signature, "base64url"));
  } catch {
    return false;
  }
}

function seedBytes(text: string): Uint8Array | undefined {
  const bytes = decodeNKey(text);
  const isSeed =
    bytes?.length === SEED_HEAD.length + KEY_BYTES && SEED_HEAD.every((byte, at) => bytes[at] === byte);
  return isSeed ? bytes.slice(SEED_HEAD.length) : undefined;
}

function publicBytes(text: string): Uint8Array | undefined {
  const bytes = decodeNKey(text);
  return bytes?.length === 1 + KEY_BYTES && bytes[0] === OPERATOR ? bytes.slice(1) : undefined;
}

function privateKey(seed: Uint8Array): KeyObject {
  return nodeCrypto().createPrivateKey({
    key: Buffer.concat([PRIVATE_HEAD, seed]),
    format: "der",
    type: "pkcs8",
  });
}

function publicKeyOf(seed: Uint8Array): string {
  const der = nodeCrypto().createPublicKey(privateKey(seed)).export({ format: "der", type: "spki" });
  return encodeNKey(Uint8Array.from([OPERATOR, ...der.subarray(PUBLIC_HEAD.length)]));
}

/** Required here, not imported: it takes 1.5 MB of the agent of a node, to which most operators never send such a document. */
function nodeCrypto(): typeof import("node:crypto") {
  return require("node:crypto") as typeof import("node:crypto");
}
