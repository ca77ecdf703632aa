import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSigningKey } from "../keys/signingKey.ts";
import type { DesiredBody, PolicyBody } from "../messages/control.ts";
import { type DocumentKind, signDocument } from "../messages/signed.ts";
import { keep, NOTHING_KEPT } from "../trust/kept.ts";
import { PolicyFollower, type PolicyTextFault } from "./policyFollower.ts";
import { digestOf, isSelected } from "./selection.ts";

const [operator, second, thief] = [createSigningKey(), createSigningKey(), createSigningKey()];
const NOW = Date.parse("2026-11-28T03:00:00.000Z");
const AT = "2026-11-28T02:00:00.000Z";

let root: string;
let unusable: PolicyTextFault | undefined;
let untrusted: string | undefined;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ffrtmp-follower-"));
  for (const name of ["etc", "agent", "state"]) mkdirSync(join(root, name));
  [unusable, untrusted] = [undefined, undefined];
  trust(operator);
});
afterEach(() => rmSync(root, { recursive: true }));

function trust(...keys: { publicKey: string }[]): void {
  writeFileSync(join(root, "etc/trusted"), keys.map(({ publicKey }) => `${publicKey}\n`).join(""));
}

function follower(ring = "stable"): PolicyFollower {
  const config = { node: "edge-1", ring, directory: join(root, "etc"), stateDirectory: join(root, "agent") };
  return new PolicyFollower({
    config,
    memoryFile: join(root, "state/fleet-policy.json"),
    check: () => unusable,
    whyUntrusted: () => untrusted,
    now: () => NOW,
  });
}

function bodyOf(serial: number, different: Partial<PolicyBody> = {}): PolicyBody {
  const yaml = different.yaml ?? `{} # ${serial}\n`;
  return {
    ...{ v: 1, serial, ring: "stable", percent: 100, not_after: "2027-01-01T00:00:00.000Z", yaml },
    ...{ sha256: digestOf(yaml), supersedes: null, by: "ops", at: AT, ...different },
  };
}

function place(body: PolicyBody, key = operator, kind: DocumentKind = "policy"): void {
  placeText(JSON.stringify(signDocument(kind, body, key)));
}

function placeText(text: string): void {
  writeFileSync(join(root, "agent/policy.signed.json"), text);
}

function want(serial: number, ring: string | null, key = operator): void {
  const body: DesiredBody = { v: 1, node: "edge-1", serial, cordon: null, ring, by: "ops", at: AT };
  writeFileSync(
    join(root, "agent/desired.json"),
    JSON.stringify(keep(NOTHING_KEPT, signDocument("node", body, key), serial)),
  );
}

/** A daemon that has just started: it knows what is in files alone. */
function read(ring?: string, isIgnored = false) {
  const { inForce, report } = follower(ring).read({ isIgnored, mayAccept: true });
  return { serial: inForce?.serial, state: report.state, why: report.why ?? "", report };
}

test("a policy is accepted and stays in force, also when the agent's file is gone", () => {
  expect(read()).toMatchObject({ serial: undefined, state: "none" });
  place(bodyOf(3));
  expect(read()).toMatchObject({ serial: 3, state: "applied" });
  expect(read()).toMatchObject({ serial: 3, state: "applied" });
  rmSync(join(root, "agent/policy.signed.json"));
  expect(read()).toMatchObject({
    serial: 3,
    state: "applied",
    report: { highest: 3, in_force_ring: "stable" },
  });
});

describe("refused, and the policy before stays", () => {
  const REFUSED: [name: string, place: () => void, why: string][] = [
    ["an older serial", () => place(bodyOf(4)), "serial 4: it is older than serial 5"],
    ["the same serial with another text", () => place(bodyOf(5, { yaml: "x" })), "older than serial 5"],
    ["a signer who is not trusted", () => place(bodyOf(6), thief), "does not trust its signer"],
    ["another kind of document", () => place(bodyOf(6), operator, "job"), "it is a job, not a policy"],
    ["another ring", () => place(bodyOf(6, { ring: "canary" })), "it is for the ring canary, not for stable"],
    ["an expired one", () => place(bodyOf(6, { not_after: AT })), "serial 6: it expired at"],
    ["a digest of another text", () => place(bodyOf(6, { sha256: digestOf("y") })), "its digest is not"],
    ["no JSON", () => placeText("{"), "no signed document"],
    ["an empty file", () => placeText(""), "no signed document"],
    ["too much", () => placeText("x".repeat(256 * 1024 + 1)), "has more than 262144 bytes"],
    [
      "a forged text",
      () => {
        const document = signDocument("policy", bodyOf(6), operator);
        placeText(JSON.stringify({ ...document, body: document.body.replace("{}", "[]") }));
      },
      "its signature is not by",
    ],
    [
      "a link",
      () => {
        rmSync(join(root, "agent/policy.signed.json"));
        symlinkSync("/etc/shadow", join(root, "agent/policy.signed.json"));
      },
      "is a link",
    ],
    [
      "a directory",
      () => {
        rmSync(join(root, "agent/policy.signed.json"));
        mkdirSync(join(root, "agent/policy.signed.json"));
      },
      "is not a regular file",
    ],
  ];
  test.each(REFUSED)("%s", (_, placeNext, why) => {
    place(bodyOf(5));
    read();
    placeNext();
    const { why: reason, ...rest } = read();
    expect(rest).toMatchObject({ serial: 5, state: "refused" });
    expect(reason).toContain(why);
    expect(reason).not.toContain("root:");
    // It has not become the highest one either.
    rmSync(join(root, "agent/policy.signed.json"), { recursive: true });
    place(bodyOf(6));
    expect(read()).toMatchObject({ serial: 6, state: "applied" });
  });

  test("a policy that this ffrtmp cannot use, or that no message may contain", () => {
    place(bodyOf(5));
    read();
    place(bodyOf(6));
    unusable = { why: "on_end runs a command", isForbidden: true };
    expect(read()).toMatchObject({ serial: 5, state: "refused", why: "serial 6: on_end runs a command" });
    unusable = { why: "rules[0].gpu is not a known key", isForbidden: false };
    expect(read()).toMatchObject({ serial: 5, state: "unsupported" });
    unusable = undefined;
    expect(read()).toMatchObject({ serial: 6, state: "applied" });
  });

  test("what could not be remembered", () => {
    place(bodyOf(5));
    read();
    place(bodyOf(6));
    // The draft cannot be created.
    mkdirSync(join(root, "state/fleet-policy.json.new/x"), { recursive: true });
    expect(read()).toMatchObject({ serial: 5, state: "refused" });
    rmSync(join(root, "state/fleet-policy.json.new"), { recursive: true });
    expect(read()).toMatchObject({ serial: 6, state: "applied" });
  });
});

test("after a policy has expired it stays in force", () => {
  place(bodyOf(5, { not_after: "2026-11-28T03:00:01.000Z" }));
  read();
  const later = follower();
  expect(later.read({ isIgnored: false, mayAccept: true }).inForce?.serial).toBe(5);
});

test("a damaged memory accepts nothing: an older policy would look like a new one", () => {
  place(bodyOf(5));
  read();
  writeFileSync(join(root, "state/fleet-policy.json"), "{");
  expect(read()).toMatchObject({ serial: undefined, state: "refused" });
});

test("a reading without acceptance writes nothing, and says what would be", () => {
  place(bodyOf(5));
  const { inForce, report } = follower().read({ isIgnored: false, mayAccept: false });
  expect([inForce?.serial, report.state]).toEqual([5, "applied"]);
  expect(() => readFileSync(join(root, "state/fleet-policy.json"))).toThrow();
});

test("root decides: an ignored fleet, no key and a file that others can change leave the policy of the machine in force", () => {
  place(bodyOf(5));
  read();
  expect(read("stable", true)).toMatchObject({ serial: undefined, state: "ignored" });
  untrusted = "/etc/ffrtmp/fleet/trusted can be changed by other users";
  expect(read()).toMatchObject({ serial: undefined, state: "refused" });
  untrusted = undefined;
  writeFileSync(join(root, "etc/trusted"), "# none\n");
  expect(read()).toMatchObject({ serial: undefined, state: "ignored" });
  writeFileSync(join(root, "etc/trusted"), `${operator.publicKey.slice(0, -1)}\n`);
  expect(read()).toMatchObject({ serial: undefined, state: "refused" });
  trust(operator);
  expect(read()).toMatchObject({ serial: 5, state: "applied" });
});

describe("keys change", () => {
  test("a second key continues the serials, and an older document of the first is refused", () => {
    place(bodyOf(5));
    read();
    trust(operator, second);
    place(bodyOf(6), second);
    expect(read()).toMatchObject({ serial: 6, state: "applied" });
    place(bodyOf(6));
    expect(read()).toMatchObject({ serial: 6, state: "refused" });
  });

  test("a stolen key that has used the highest serial is removed, and the next key begins where it wants", () => {
    place(bodyOf(Number.MAX_SAFE_INTEGER));
    expect(read()).toMatchObject({ serial: Number.MAX_SAFE_INTEGER });
    trust(second);
    expect(read()).toMatchObject({ serial: undefined });
    place(bodyOf(1), second);
    expect(read()).toMatchObject({ serial: 1, state: "applied" });
  });
});

describe("rings", () => {
  test("the operator moves a node, which keeps its policy until the new ring has one for it", () => {
    place(bodyOf(9));
    read();
    want(1, "canary");
    expect(read()).toMatchObject({
      serial: 9,
      state: "refused",
      report: { ring: "canary", in_force_ring: "stable" },
    });
    place(bodyOf(2, { ring: "canary" }));
    expect(read()).toMatchObject({ serial: 2, state: "applied", report: { in_force_ring: "canary" } });
    // And back, to the policy that it had there.
    want(2, null);
    place(bodyOf(9));
    expect(read()).toMatchObject({ serial: 9, state: "applied", report: { ring: "stable" } });
  });

  test("an older wish of the operator, or one of another signer, moves no node", () => {
    want(2, "canary");
    read();
    want(1, "stable");
    expect(read().report.ring).toBe("canary");
    want(3, "stable", thief);
    expect(read().report.ring).toBe("canary");
    rmSync(join(root, "agent/desired.json"));
    expect(read().report.ring).toBe("canary");
  });
});

describe("a share of a ring", () => {
  test("leaves the others as they are", () => {
    place(bodyOf(5));
    read();
    place(bodyOf(6, { percent: 0 }));
    expect(read()).toMatchObject({ serial: 5, state: "unselected" });
  });

  test("has the share's size, and a larger one for the same text contains it", () => {
    const nodes = Array.from({ length: 2000 }, (_, index) => `edge-${index}`);
    const selected = (percent: number, text: string) =>
      nodes.filter((node) => isSelected(percent, node, digestOf(text)));
    const tenth = selected(10, "a");
    expect(tenth.length).toBeGreaterThan(140);
    expect(tenth.length).toBeLessThan(260);
    const half = new Set(selected(50, "a"));
    expect(tenth.every((node) => half.has(node))).toBe(true);
    expect(selected(10, "b")).not.toEqual(tenth);
    expect([selected(0, "a").length, selected(100, "a").length]).toEqual([0, nodes.length]);
  });
});
