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
    name: "a later rule matches where the first does not",
    policy: "rules: [{name: a, match: {user: video}}, {name: b, match: {}}]",
    expect: { rule: "b" },
    failed: { a: "match.user", b: undefined },
  },
  {
    name: "ignore wins over targets",
    policy: "rules: [{name: a, match: {user: live}, ignore: true}]",
    expect: { because: "rule a ignores the process" },
  },
  {
    name: "filters apply to rules as well",
    policy: "filters: {blocked_users: [live]}\nrules: [{name: a, match: {}}]",
    expect: { because: "filters.blocked_users: expected not live, found live (1001)" },
    failed: { a: undefined, filters: "filters.blocked_users" },
  },
  {
    name: "a rule without a command applies to the targets only",
    policy: "rules: [{name: a, match: {user: live}}]",
    process: SH,
    expect: { because: NO_TARGET },
    failed: { a: "target_commands" },
  },
  {
    name: "tenant, labels, intent and placement are part of the decision",
    policy:
      "rules: [{name: a, match: {}, tenant: acme, labels: {tier: gold}, intent: live, placement: nested}]",
    expect: { tenant: "acme", labels: { tier: "gold" }, intent: "live", placement: "nested" },
  },
  {
    name: "labels of the scheduler are part of the decision, and a rule can replace them",
    policy: "rules: [{name: a, match: {}, labels: {tier: gold, scheduler: ours}}]",
    process: { labels: { scheduler: "slurm", slurm_job: "17" } },
    expect: { labels: { scheduler: "ours", slurm_job: "17", tier: "gold" } },
  },
  {
    name: "a target command has the labels of its scheduler without any rule",
    policy: "rules: []",
    process: { labels: { scheduler: "cron", systemd_unit: "cron.service" } },
    expect: { rule: undefined, labels: { scheduler: "cron", systemd_unit: "cron.service" } },
  },
  {
    name: "the user can name the tenant",
    policy: "rules: [{name: a, match: {}, tenant: '{user}'}]",
    expect: { tenant: "live" },
  },
  {
    name: "the directory can name the tenant",
    policy: "rules: [{name: a, match: {}, tenant: '{cwd:2}'}]",
    expect: { tenant: "live" },
  },
  {
    name: "a rule does not match a process that lacks the fact its tenant comes from",
    policy: "rules: [{name: a, match: {}, tenant: '{container}'}, {name: b, match: {}, tenant: house}]",
    expect: { rule: "b", tenant: "house" },
    failed: { a: "tenant" },
  },
]);

test("rules that match too late are distinguished from rules that do not match", () => {
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
