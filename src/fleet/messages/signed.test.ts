import { expect, test } from "bun:test";
import fc from "fast-check";
import { z } from "zod";
import { createSigningKey, isSigningPublicKey, signingKeyOf } from "../keys/signingKey.ts";
import { isDocumentFault, openDocument, type SignedDocument, signDocument } from "./signed.ts";

const schema = z.object({ v: z.literal(1), text: z.string() });
const key = createSigningKey();
const trusted = new Set([key.publicKey]);

test("a signed document is what was signed, whatever its text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const wire = JSON.parse(JSON.stringify(signDocument("job", { v: 1, text }, key)));
      expect(openDocument(wire, "job", schema, trusted)).toEqual({ v: 1, text: text.toWellFormed() });
    }),
  );
});

test("a document that was changed in any way is refused, and so is one of another signer or kind", () => {
  const document = signDocument("job", { v: 1, text: "a" }, key);
  const other = createSigningKey();
  const faults: [Partial<SignedDocument>, string][] = [
    [{ body: document.body.replace("a", "b") }, "forged"],
    [{ body: `${document.body} ` }, "forged"],
    [{ sig: `${document.sig.slice(0, -4)}AAAA` }, "forged"],
    [{ sig: "" }, "forged"],
    [{ sig: "no signature" }, "forged"],
    [{ key: other.publicKey }, "untrusted"],
    [{ key: "O" }, "untrusted"],
    [{ kind: "policy" }, "unreadable"],
    [{ v: 2 as 1 }, "unreadable"],
  ];
  for (const [change, fault] of faults)
    expect(openDocument({ ...document, ...change }, "job", schema, trusted)).toMatchObject({ fault });
  const posed = { ...signDocument("job", { v: 1, text: "a" }, other), key: key.publicKey };
  expect(openDocument(posed, "job", schema, trusted)).toMatchObject({ fault: "forged" });
  const relabelled = { ...signDocument("policy", { v: 1, text: "a" }, key), kind: "job" };
  expect(openDocument(relabelled, "job", schema, trusted)).toMatchObject({ fault: "forged" });
});

test("a signed document with a content of another form is refused with the place of the fault", () => {
  const opened = openDocument(signDocument("job", { v: 1, text: 3 }, key), "job", schema, trusted);
  expect(isDocumentFault(opened) && opened.why).toMatch(/^text: /);
  for (const nonsense of [null, 3, "x", [], {}])
    expect(openDocument(nonsense, "job", schema, trusted)).toMatchObject({ fault: "unreadable" });
});

test("a signing key is known by its seed, and no key of the hub's users is one", () => {
  expect(signingKeyOf(key.seed)).toEqual(key);
  expect(signingKeyOf("SO")).toBeUndefined();
  expect(isSigningPublicKey(key.publicKey)).toBe(true);
  for (const text of ["", "O", key.seed, `${key.publicKey}A`]) expect(isSigningPublicKey(text)).toBe(false);
});
