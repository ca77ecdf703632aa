import { nkeys } from "@nats-io/transport-node";

/**
 * A key with which the operator signs documents: an Ed25519 key pair in the form of an NKey of the kind "operator", so that it
 * is no user of the hub. The hub never has the seed.
 */
export interface SigningKey {
  /** SO…, the secret part. */
  readonly seed: string;
  /** O…, which nodes trust. */
  readonly publicKey: string;
}

export function createSigningKey(): SigningKey {
  const pair = nkeys.createOperator();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

/** Returns the key of a seed; `undefined` for any other text. */
export function signingKeyOf(seed: string): SigningKey | undefined {
  try {
    const publicKey = nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey();
    return isSigningPublicKey(publicKey) ? { seed, publicKey } : undefined;
  } catch {
    return undefined;
  }
}

export function isSigningPublicKey(text: string): boolean {
  try {
    // The checksum alone does not see what follows the key.
    return /^O[A-Z2-7]{55}$/.test(text) && nkeys.fromPublic(text).getPublicKey() === text;
  } catch {
    return false;
  }
}

/** Returns the signature of a text as base64url. */
export function sign(key: SigningKey, text: string): string {
  const bytes = nkeys.fromSeed(new TextEncoder().encode(key.seed)).sign(new TextEncoder().encode(text));
  return Buffer.from(bytes).toString("base64url");
}

/** Returns true where the signature of a text is by this key; false for anything that is no signature. */
export function isSignedBy(publicKey: string, text: string, signature: string): boolean {
  try {
    const bytes = Buffer.from(signature, "base64url");
    return nkeys.fromPublic(publicKey).verify(new TextEncoder().encode(text), bytes);
  } catch {
    return false;
  }
}
