import { expect, test } from "bun:test";
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
