import { expect, test } from "bun:test";
import fc from "fast-check";
import { makeAuthority } from "../keys/authority.ts";
import { createNKey } from "../keys/nkey.ts";
import { createSigningKey } from "../keys/signingKey.ts";
import { formatInvite, type Invite, parseInvite } from "./invite.ts";

const INVITE: Invite = {
  node: "edge-1",
  hub: ["tls://hub.example:4222", "tls://[2001:db8::1]:4222"],
  seed: createNKey().seed,
  authority: makeAuthority().certificate,
  pools: ["live", "batch"],
  policyKey: createSigningKey().publicKey,
};
const text = formatInvite(INVITE);

test("an invite is one word, which gives back what it was made of", () => {
  expect(text).toMatch(/^ffrtmp-invite-1\.edge-1\.[\w.-]+$/);
  expect(parseInvite(`  ${text}\n`)).toEqual(INVITE);
});

test("an invite of an earlier release has no pools and no key of policies", () => {
  const parts = text.split(".");
  const early = parts.slice(0, -2).join(".");
  const sum = new Bun.CryptoHasher("sha256").update(early).digest("base64url").slice(0, 8);
  expect(parseInvite(`${early}.${sum}`)).toEqual({ ...INVITE, pools: [], policyKey: null });
});

test("an invite that was cut, changed or copied in part is refused, and no message repeats its key", () => {
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom("", "x", " "), (at, inserted) => {
      const changed = text.slice(0, at) + inserted + text.slice(at + 1);
      fc.pre(changed.trim() !== text);
      expect(() => parseInvite(changed)).toThrow(
        /the invite is incomplete or was changed|this ffrtmp cannot use the invite/,
      );
      expect(() => parseInvite(changed)).not.toThrow(INVITE.seed);
    }),
  );
});

test("an invite of a later release says that ffrtmp is too old", () => {
  expect(() => parseInvite("ffrtmp-invite-2.edge-1.abc")).toThrow(
    "it is of a later release (ffrtmp-invite-2)",
  );
  expect(() => parseInvite("x")).toThrow("it does not begin with ffrtmp-invite-1");
});

test("an empty input, as of a command that has failed before a pipe, is reported as that", () => {
  expect(() => parseInvite("\n")).toThrow("no invite was given: the input is empty");
});

test("an invite that would make no node is refused before anything is written", () => {
  for (const [change, reason] of [
    [{ node: "a/x" }, "it does not name a node"],
    [{ node: "a\u001b" }, "it does not name a node"],
    [{ hub: ["http://hub:1"] }, "it has no address of a hub"],
    [{ hub: ["nats://hub.example:4222"] }, "it has no address of a hub"],
    [{ seed: "SUX" }, "it has no key"],
    [{ authority: "" }, "it has no certificate"],
    [{ pools: ["*"] }, "it names no pool"],
    [{ policyKey: "OX" }, "the key of its policies is none"],
    [{ policyKey: createNKey().publicKey }, "the key of its policies is none"],
  ] as const)
    expect(() => parseInvite(formatInvite({ ...INVITE, ...change }))).toThrow(reason);
});
