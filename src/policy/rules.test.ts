import { expect, test } from "bun:test";
import { load, NO_TARGET, SH, testDecisions } from "../../test/support/decisions.ts";
import { factsOf } from "../../test/support/facts.ts";
import { explain } from "./decide.ts";

testDecisions("rules", [
  {
    name: "the first rule that matches wins",
    policy: "rules: [{name: a, match: {user: live}, intent: x}, {name: b, match: {}, intent: y}]",
    expect: { rule: "a", intent: "x" },
    failed: { a: undefined, b: undefined },
  },
  {
    name: "a later one takes what the first does not",
    policy: "rules: [{name: a, match: {user: video}}, {name: b, match: {}}]",
    expect: { rule: "b" },
    failed: { a: "match.user", b: undefined },
  },
  {
    name: "ignore wins over targets",
    policy: "rules: [{name: a, match: {user: live}, ignore: true}]",
    expect: { because: "rule a ignores it" },
  },
  {
    name: "filters hold for rules as well",
    policy: "filters: {blocked_users: [live]}\nrules: [{name: a, match: {}}]",
    expect: { because: "filters.blocked_users wants not live, and it is live (1001)" },
    failed: { a: undefined, filters: "filters.blocked_users" },
  },
  {
    name: "a rule without a command speaks of the targets only",
    policy: "rules: [{name: a, match: {user: live}}]",
    process: SH,
    expect: { because: NO_TARGET },
    failed: { a: "target_commands" },
  },
  {
    name: "tenant, labels, intent and placement go with the job",
    policy:
      "rules: [{name: a, match: {}, tenant: acme, labels: {tier: gold}, intent: live, placement: nested}]",
    expect: { tenant: "acme", labels: { tier: "gold" }, intent: "live", placement: "nested" },
  },
  {
    name: "a tenant is taken from the user",
    policy: "rules: [{name: a, match: {}, tenant: '{user}'}]",
    expect: { tenant: "live" },
  },
  {
    name: "a tenant is taken from the directory",
    policy: "rules: [{name: a, match: {}, tenant: '{cwd:2}'}]",
    expect: { tenant: "live" },
  },
  {
    name: "a rule speaks of no process that gives it no tenant",
    policy: "rules: [{name: a, match: {}, tenant: '{container}'}, {name: b, match: {}, tenant: house}]",
    expect: { rule: "b", tenant: "house" },
    failed: { a: "tenant" },
  },
]);

test("the rules behind the one that decides are told apart from those that do not match", () => {
  const policy = load("rules: [{name: a, match: {}}, {name: b, match: {}}, {name: c, match: {user: no}}]");
  expect(
    explain(policy, factsOf()).steps.map(({ subject, isTooLate, failed }) => [
      subject,
      isTooLate,
      failed?.key,
    ]),
  ).toEqual([
    ["a", false, undefined],
    ["b", true, undefined],
    ["c", false, "match.user"],
    ["target_commands", true, undefined],
    ["filters", false, undefined],
  ]);
});
