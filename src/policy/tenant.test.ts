import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { factsOf } from "../../test/support/facts.ts";
import { ValueFault } from "../limits/units.ts";
import { compileTenant, tenantPathName } from "./tenant.ts";

describe("compileTenant()", () => {
  it.each([
    ["acme", "acme"],
    ["{user}", "live"],
    ["{group}", "live"],
    ["{cwd:2}", "acme"],
    ["customer {cwd:2}", "customer acme"],
    ["{user}/{cwd:3}", "live/a%25b"],
    ["{env:TENANT}", "x%2Fy"],
    ["{container}", "9f2c"],
  ])("%s names %s", (text, name) => {
    const facts = factsOf({ cwd: "/srv/acme/a%b", container: "9f2c", environment: { TENANT: "x/y" } });
    expect(compileTenant(text).name(facts)).toEqual({ name });
  });

  it("names a uid without a user so that no user has the same name", () => {
    const facts = factsOf({ uid: 7, user: undefined, gid: 8, group: undefined });
    expect(compileTenant("{user}").name(facts)).toEqual({ name: "uid:7" });
    expect(compileTenant("{group}").name(facts)).toEqual({ name: "gid:8" });
  });

  it("gives no name when the process lacks a fact, or has one that could be mistaken for another", () => {
    expect(compileTenant("{container}").name(factsOf())).toEqual({ missing: "no {container}" });
    expect(compileTenant("{cwd:3}").name(factsOf({ cwd: "/srv/a" }))).toHaveProperty("missing");
    expect(compileTenant("{cwd:1}").name(factsOf({ cwd: undefined }))).toHaveProperty("missing");
    expect(compileTenant("{env:T}").name(factsOf({ environment: { T: "" } }))).toHaveProperty("missing");
    expect(compileTenant("{cwd:1}").name(factsOf({ cwd: "/a\ufffd" }))).toEqual({
      missing: "{cwd:1} that is not valid UTF-8",
      isRefused: true,
    });
  });

  it.each(["a\nb", "\u001b[2J", "\u009b", "\u202ea", "a\u2028", "\u007f", "x".repeat(256)])(
    "refuses the fact %j, and says so",
    (value) => {
      const missing = expect.stringMatching(
        /^\{env:T\} that (contains a control character|is longer than 255 bytes)$/,
      );
      const facts = factsOf({ environment: { T: value } });
      expect(compileTenant("{env:T}").name(facts)).toEqual({ missing, isRefused: true });
    },
  );

  it("names the part of a long environment in which it searched", () => {
    const facts = { ...factsOf(), isEnvironmentCut: true };
    expect(compileTenant("{env:T}").name(facts)).toEqual({
      missing: "no {env:T} in the first 128 KiB of the environment",
    });
    expect(compileTenant("{container}").name(facts)).toEqual({ missing: "no {container}" });
  });

  it.each([
    ["", /empty/],
    ["{uesr}", /\{uesr\} is none of \{user\}/],
    ["{cwd:0}", /none of/],
    ["{user:2}", /none of/],
    ["{user", /none of/],
    ["{user}-{group}", /need a "\/"/],
    ["\ud800", /not valid/],
    ["a\nb", /contains a control character/],
  ])("rejects %p", (text, message) => {
    expect(() => compileTenant(text)).toThrow(ValueFault);
    expect(() => compileTenant(text)).toThrow(message);
  });

  it("gives two different pairs of values two different names", () => {
    const template = compileTenant("{user}/{env:T}");
    const nameFor = (user: string, value: string): unknown =>
      template.name(factsOf({ user, environment: { T: value } }));
    const word = fc.stringMatching(/^[ab/%25F]{1,6}$/);
    fc.assert(
      fc.property(word, word, word, word, (user, value, otherUser, otherValue) => {
        fc.pre(user !== otherUser || value !== otherValue);
        expect(nameFor(user, value)).not.toEqual(nameFor(otherUser, otherValue));
      }),
    );
  });
});

describe("tenantPathName()", () => {
  it.each([
    ["acme", "acme"],
    ["Acme Ltd.", "Acme%20Ltd."],
    ["live/x", "live%2Fx"],
    [".", "%2E"],
    ["..", "%2E."],
    ["a%20b", "a%2520b"],
    ["a~b", "a%7Eb"],
    ["é", "%C3%A9"],
    ["a\nb", "a%0Ab"],
  ])("%p becomes %s", (name, path) => {
    expect(tenantPathName(name)).toBe(path);
  });

  it("returns a short file name for every name, and never the same for two", () => {
    const names = new Map<string, string>();
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 400 }), (name) => {
        fc.pre(name.isWellFormed());
        const path = tenantPathName(name);
        expect(path).toMatch(/^[A-Za-z0-9_%~-][A-Za-z0-9_.%~-]{0,159}$/);
        expect(names.get(path) ?? name).toBe(name);
        names.set(path, name);
      }),
      { numRuns: 2000 },
    );
    const long = "x".repeat(300);
    expect(tenantPathName(`${long}a`)).not.toBe(tenantPathName(`${long}b`));
  });
});
