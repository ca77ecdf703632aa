import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSigningKey } from "../keys/signingKey.ts";
import type { DesiredBody } from "../messages/control.ts";
import { signDocument } from "../messages/signed.ts";
import { DocumentKeeper } from "./documentKeeper.ts";

const [operator, thief] = [createSigningKey(), createSigningKey()];
let root: string;
let keeper: DocumentKeeper;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ffrtmp-keeper-"));
  mkdirSync(join(root, "etc"));
  writeFileSync(join(root, "etc/trusted"), `${operator.publicKey}\n`);
  keeper = new DocumentKeeper({
    node: "edge-1",
    ring: "stable",
    directory: join(root, "etc"),
    stateDirectory: join(root, "agent"),
  });
});
afterEach(() => rmSync(root, { recursive: true }));

function desired(serial: number, different: Partial<DesiredBody> = {}, key = operator): Buffer {
  const base = { v: 1 as const, node: "edge-1", serial, cordon: null, ring: null, by: "ops" };
  const body = { ...base, at: "2026-11-28T03:00:00.000Z", ...different };
  return Buffer.from(JSON.stringify(signDocument("node", body, key)));
}

test("a node without documents is as its configuration says", () => {
  expect(keeper.control()).toEqual({ ring: "stable", cordoned: null, desired: 0 });
});

test("what an operator wants is kept, and an older or foreign document changes nothing", () => {
  expect(keeper.keepDesired(desired(3, { ring: "canary", cordon: { reason: "disk" } }))).toBeUndefined();
  const kept = {
    ring: "canary",
    cordoned: { from: "fleet", by: "ops", reason: "disk" },
    desired: 3,
  } as const;
  expect(keeper.control()).toEqual(kept);
  for (const [bytes, fault] of [
    [desired(2), "is older than one before"],
    [desired(3), "is older than one before"],
    [desired(4, {}, thief), "does not trust its signer"],
    [desired(4, { node: "edge-2" }), "is about edge-2"],
    [Buffer.from("{"), "no signed document"],
  ] as const) {
    expect(keeper.keepDesired(bytes)).toContain(fault);
    expect(keeper.control()).toEqual(kept);
  }
  // The same one again, as after each connection.
  expect(keeper.keepDesired(desired(3, { ring: "canary", cordon: { reason: "disk" } }))).toBeUndefined();
});

test("a damaged file accepts nothing: it hides which serials were accepted", () => {
  keeper.keepDesired(desired(3));
  writeFileSync(join(root, "agent/desired.json"), "{");
  expect(keeper.keepDesired(desired(4))).toContain("To start again without it, remove it");
});

test("a policy is placed as it came, and the same bytes are not written again", () => {
  const file = join(root, "agent/policy.signed.json");
  expect(keeper.placePolicy(Buffer.from("anything"))).toBeUndefined();
  expect(readFileSync(file, "utf8")).toBe("anything");
  const { ino } = statSync(file);
  expect(keeper.placePolicy(Buffer.from("anything"))).toBeUndefined();
  expect(statSync(file).ino).toBe(ino);
  // A draft of an agent that was killed.
  writeFileSync(`${file}.new`, "half of");
  expect(keeper.placePolicy(Buffer.from("another"))).toBeUndefined();
  expect(readFileSync(file, "utf8")).toBe("another");
  expect(existsSync(`${file}.new`)).toBe(false);
  expect(keeper.placePolicy(Buffer.alloc(256 * 1024 + 1))).toContain("is too long");
  expect(readFileSync(file, "utf8")).toBe("another");
});

test("what cannot be written is said", () => {
  writeFileSync(join(root, "agent"), "a file in place of the directory");
  expect(keeper.placePolicy(Buffer.from("x"))).toContain("cannot be written");
});
