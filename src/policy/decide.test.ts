import { expect, test } from "bun:test";
import { factsOf } from "../../test/fixtures/facts.ts";
import { decide, explain } from "./decide.ts";
import { policyFromFlags } from "./policyFromFlags.ts";

test("the options of watch amount to a policy: its targets, under the limits that it was given", () => {
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
      because: "no rule matches, and it goes by none of the target commands",
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
