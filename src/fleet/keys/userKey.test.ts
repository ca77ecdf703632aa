import { expect, test } from "bun:test";
import { nkeys } from "@nats-io/nats-core";
import { createNKey } from "./nkey.ts";
import { createSigningKey } from "./signingKey.ts";
import { isUserSeed, UserKey } from "./userKey.ts";

test("a user's key is that of the NATS project's own code, and so is its signature", async () => {
  const { seed, publicKey } = createNKey();
  const key = await UserKey.fromSeed(seed);
  expect(key.publicKey).toBe(publicKey);
  const signature = Buffer.from(await key.sign("challenge"), "base64url");
  expect(nkeys.fromPublic(publicKey).verify(Buffer.from("challenge"), signature)).toBe(true);
  expect(nkeys.fromPublic(publicKey).verify(Buffer.from("another"), signature)).toBe(false);
});

test("only the seed of a user is one", async () => {
  const { seed, publicKey } = createNKey();
  expect(isUserSeed(seed)).toBe(true);
  for (const text of [publicKey, createSigningKey().seed, seed.slice(1), `${seed}A`, ""]) {
    expect({ text, is: isUserSeed(text) }).toEqual({ text, is: false });
    expect(UserKey.fromSeed(text)).rejects.toThrow("not the seed");
  }
});
