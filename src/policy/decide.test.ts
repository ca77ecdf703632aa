import { expect, test } from "bun:test";
import { load } from "../../test/support/decisions.ts";
import { factsOf } from "../../test/support/facts.ts";
import { decide, explain } from "./decide.ts";
import { loadPolicy } from "./file/loadPolicy.ts";
import { overrideByFlags, policyFromFlags } from "./policy.ts";

test("the options of watch are a policy: its targets, under the given limits", () => {
  const policy = policyFromFlags(["ffmpeg", "x264"], { cpuWeight: 50 });
  expect(decide(policy, factsOf())).toMatchObject({
    govern: true,
    target: "ffmpeg",
    limits: { cpuWeight: 50 },
  });
  const other = factsOf({ argv: ["sh"], executable: "/bin/sh" });
  expect(explain(policy, other)).toEqual({
    decision: {
      govern: false,
      because: "no rule matches, and the command is not a target command",
      rule: undefined,
      retryInMs: undefined,
    },
    steps: [
      {
        subject: "target_commands",
        kind: "targets",
        failed: { key: "target_commands", wanted: "ffmpeg or x264", found: "sh" },
        isTooLate: false,
      },
    ],
  });
});

test("targets and limits of the command line replace those of the file, also in its rules", () => {
  const loaded = loadPolicy(
    "default_limits: {nice: 1, pids_max: 9}\nrules: [{name: a, match: {user: live}}]",
    "p",
  );
  if ("faults" in loaded) throw new Error("no policy");
  const policy = overrideByFlags(loaded.policy, ["x264"], { nice: 2 });
  expect(decide(policy, factsOf())).toMatchObject({ govern: false });
  const x264 = factsOf({ argv: ["x264"], executable: "/usr/bin/x264" });
  expect(decide(policy, x264)).toMatchObject({ rule: "a", target: "x264", limits: { nice: 2, pidsMax: 9 } });
  expect(decide(overrideByFlags(loaded.policy, undefined, {}), factsOf())).toMatchObject({ rule: "a" });
});

test("a rule whose tenant is refused does not match, and the decision says why", () => {
  const policy = load(`
target_commands: [ffmpeg]
rules:
  - {name: by-variable, match: {user: live}, tenant: "{env:T}"}
  - {name: others, match: {user: root}, tenant: "{env:T}"}
`);
  const forged = factsOf({ environment: { T: "acme\nJOB x | sla=COMPLIANT" } });
  const tenantRefused = "{env:T} that contains a control character";
  expect(decide(policy, forged)).toMatchObject({ govern: true, rule: undefined, tenantRefused });
  expect(explain(policy, forged).decision).toEqual(decide(policy, forged));
  // A process without the variable, and one that fails for another reason, are not reported.
  expect(decide(policy, factsOf())).not.toHaveProperty("tenantRefused");
  expect(decide(policy, factsOf({ user: "other", environment: { T: "\n" } }))).not.toHaveProperty(
    "tenantRefused",
  );
});

test("a reason contains only the start of a long fact", () => {
  const policy = load("rules: [{name: a, match: {command: '*', argv: x}}]");
  const argv = ["ffmpeg", "y".repeat(20_000)];
  const [step] = explain(policy, factsOf({ argv })).steps;
  expect(step?.failed?.found).toMatch(/^ffmpeg y{493}… \(20007 characters\)$/);
});
