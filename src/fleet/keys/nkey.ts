import { nkeys } from "@nats-io/nats-core";

/** An NKey of a user of nats-server: an Ed25519 key pair. The server has the public key only. */
export interface NKey {
  /** SU…, the secret part. */
  readonly seed: string;
  /** U… */
  readonly publicKey: string;
}

export function createNKey(): NKey {
  const pair = nkeys.createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

/** Returns true for the secret part of an NKey of any kind. */
export function isNKeySeed(text: string): boolean {
  try {
    nkeys.fromSeed(new TextEncoder().encode(text));
    return true;
  } catch {
    return false;
  }
}
