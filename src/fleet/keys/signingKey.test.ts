import { expect, test } from "bun:test";
import { nkeys } from "@nats-io/nats-core";
import { createSigningKey, isSignedBy, isSigningPublicKey, sign, signingKeyOf } from "./signingKey.ts";

const ENCODER = new TextEncoder();

test("keys and signatures are those of the library of NATS", () => {
  for (let round = 0; round < 20; round++) {
    const key = createSigningKey();
    const pair = nkeys.fromSeed(ENCODER.encode(key.seed));
    expect(pair.getPublicKey()).toBe(key.publicKey);
    const theirs = Buffer.from(pair.sign(ENCODER.encode("text"))).toString("base64url");
    expect(sign(key, "text")).toBe(theirs);
    expect(isSignedBy(key.publicKey, "text", theirs)).toBe(true);
    expect(isSignedBy(key.publicKey, "text ", theirs)).toBe(false);
  }
  const pair = nkeys.createOperator();
  const seed = new TextDecoder().decode(pair.getSeed());
  expect(signingKeyOf(seed)).toEqual({ seed, publicKey: pair.getPublicKey() });
});

test("only the public key of an operator is one", () => {
  const { publicKey, seed } = createSigningKey();
  expect(isSigningPublicKey(publicKey)).toBe(true);
  const others = [
    nkeys.createUser().getPublicKey(),
    nkeys.createAccount().getPublicKey(),
    seed,
    `${publicKey}A`,
    publicKey.slice(0, -1),
    publicKey.toLowerCase(),
    `${publicKey.slice(0, -1)}${publicKey.endsWith("A") ? "B" : "A"}`,
    "",
    "O",
  ];
  expect(others.filter(isSigningPublicKey)).toEqual([]);
  expect(signingKeyOf(publicKey)).toBeUndefined();
  expect(signingKeyOf(new TextDecoder().decode(nkeys.createUser().getSeed()))).toBeUndefined();
});

test("anything else is no signature", () => {
  const { publicKey } = createSigningKey();
  for (const text of ["", "x", "A".repeat(86), "A".repeat(400), "\0"])
    expect(isSignedBy(publicKey, "text", text)).toBe(false);
});
