import { expect, test } from "bun:test";
import { load } from "../../test/support/decisions.ts";
import { listPolicyChanges, toWrittenPolicy } from "./policyChanges.ts";

function changes(before: string, now: string): string[] {
  const written = (text: string) => load(text).written ?? new Map();
  return listPolicyChanges(written(before), written(now));
}

const RULES = `
scan_interval: 5s
target_commands: [ffmpeg]
default_limits: {nice: 5}
commands: {ffmpeg: {limits: {cpu_quota: 100}}}
tenants: {acme: {pids_max: 9}}
rules:
  - {name: transcode, match: {argv: "*x264*"}, limits: {cpu_quota: 200, io_max: "8:0 rbps=1M"}, labels: {tier: gold}}
  - {name: relay, match: {user: [root, alice]}, tenant: acme}
`;

test.each<[string, string, string[]]>([
  ["cpu_quota: 200", "cpu_quota: 150", ["rule transcode: cpu_quota 200 → 150"]],
  ["cpu_quota: 200, ", "", ["rule transcode: cpu_quota 200 → none"]],
  [
    '"8:0 rbps=1M"',
    "{device: 8:0, wbps: 2M}",
    [
      "rule transcode: io_max 8:0 rbps=1M → none",
      "rule transcode: io_max.device none → 8:0",
      "rule transcode: io_max.wbps none → 2M",
    ],
  ],
  ["tier: gold", "tier: silver", ["rule transcode: labels.tier gold → silver"]],
  ["[root, alice]", "[root]", ["rule relay: match.user [root, alice] → [root]"]],
  ["name: relay", "name: copy", ["rule relay: removed", "rule copy: added"]],
  ["5s", "10s", ["scan_interval 5s → 10s"]],
  ["{nice: 5}", "{nice: 5, pids_max: 7}", ["default_limits.pids_max none → 7"]],
  ["{cpu_quota: 100}", "{cpu_quota: max}", ["command ffmpeg: cpu_quota 100 → max"]],
  ["{pids_max: 9}", "{pids_max: 10}", ["tenant acme: pids_max 9 → 10"]],
  ["200", '"200"', []],
  ["[ffmpeg]", `[${"x,".repeat(99)}ffmpeg]`, [`target_commands [ffmpeg] → [${"x, ".repeat(26)}x…`]],
])("%s → %s", (from, to, expected) => {
  expect(changes(RULES, RULES.replace(from, to))).toEqual(expected);
});

test("a stream key in a pattern is not shown", () => {
  const rules = (key: string) => `rules: [{name: a, match: {argv: "*rtmp://host/live/${key}*"}}]`;
  const [change = ""] = changes(rules("secretkey1"), rules("secretkey2"));
  expect(change).toStartWith("rule a: match.argv *rtmp://host/live/");
  expect(change).not.toContain("secret");
});

test("a first policy has each key of its own as a change, and a rule as a whole", () => {
  const first = toWrittenPolicy({ scan_interval: "2s", rules: [{ name: "relay", ignore: true }] });
  expect(listPolicyChanges(new Map(), first)).toEqual(["scan_interval none → 2s", "rule relay: added"]);
});

test("another order of the rules is a change", () => {
  const rules = (...names: string[]) => `rules: [${names.map((name) => `{name: ${name}, match: {}}`)}]`;
  expect(changes(rules("a", "b"), rules("b", "a"))).toEqual([
    "order of the rules: rule a, rule b → rule b, rule a",
  ]);
  expect(changes(rules("a", "b"), rules("c", "a", "b"))).toEqual(["rule c: added"]);
});
