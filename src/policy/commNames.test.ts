import { expect, test } from "bun:test";
import { load } from "../../test/support/decisions.ts";
import { commNamesOf } from "./commNames.ts";
import { policyFromFlags } from "./policy.ts";

test("the names are those of the targets and of the rules, as the kernel cuts them, each once", () => {
  expect(commNamesOf(policyFromFlags(["ffmpeg", "gst-launch-1.0"], {}))).toEqual([
    "ffmpeg",
    "gst-launch-1.0",
  ]);
  expect(commNamesOf(policyFromFlags(["a-very-long-encoder"], {}))).toEqual(["a-very-long-enc"]);
  const policy = load(`
target_commands: [ffmpeg]
rules:
  - name: all
    match: {user: root}
  - name: packager
    match: {command: [shaka-packager, ffmpeg]}
  - name: path
    match: {exe: /opt/encoder}
`);
  expect(commNamesOf(policy)).toEqual(["ffmpeg", "shaka-packager"]);
});

test("a pattern of names allows any name", () => {
  expect(commNamesOf(load("target_commands: [ffmpeg, 'gst-*']"))).toBeUndefined();
  const rule = "rules: [{name: x, match: {command: '*'}}]";
  expect(commNamesOf(load(rule))).toBeUndefined();
});
