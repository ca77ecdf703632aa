import { decodeNKey, encodeNKey, KEY_BYTES } from "./nkeyText.ts";

/** The first bytes of NKeys: of a seed, and of the public key of a user. Source: strkey.go of nats-io/nkeys. */
const [SEED, USER] = [18 << 3, 20 << 3];
/** The first bytes of the seed of a user: both kinds in 5 bits each. */
const SEED_HEAD = [SEED | (USER >> 5), (USER & 31) << 3];
/** PKCS #8 of an Ed25519 seed: RFC 8410, section 7. */
const PRIVATE_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * The key with which a user of the hub answers the server's challenge. It is the runtime's Web Crypto: the client's own code
 * for Ed25519 takes 7 ms and 3 MB for one answer, and node:crypto 1.5 MB.
 */
export class UserKey {
  /** U… */
  readonly publicKey: string;
  readonly #key: CryptoKey;

  private constructor(publicKey: string, key: CryptoKey) {
    this.publicKey = publicKey;
    this.#key = key;
  }

  /** Throws for a text that is not the seed of a user (SU…). */
  static async fromSeed(seed: string): Promise<UserKey> {
    const bytes = seedBytes(seed);
    if (bytes === undefined) throw new Error("the key of this user is not the seed of an NKey");
    const der = Buffer.concat([PRIVATE_HEAD, bytes]);
    const key = await crypto.subtle.importKey("pkcs8", der, "Ed25519", true, ["sign"]);
    // The runtime shows the public part as JSON only.
    const { x = "" } = await crypto.subtle.exportKey("jwk", key);
    return new UserKey(encodeNKey(Uint8Array.from([USER, ...Buffer.from(x, "base64url")])), key);
  }

  /** Returns the signature of a challenge as base64url. */
  async sign(challenge: string): Promise<string> {
    const signature = await crypto.subtle.sign("Ed25519", this.#key, Buffer.from(challenge));
    return Buffer.from(signature).toString("base64url");
  }
}

/** Returns true for the secret part of the key of a user. */
export function isUserSeed(text: string): boolean {
  return seedBytes(text) !== undefined;
}

function seedBytes(text: string): Uint8Array | undefined {
  const bytes = decodeNKey(text);
  const isSeed =
    bytes?.length === SEED_HEAD.length + KEY_BYTES && SEED_HEAD.every((byte, at) => bytes[at] === byte);
  return isSeed ? bytes.slice(SEED_HEAD.length) : undefined;
}
