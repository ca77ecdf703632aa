import { expect, test } from "bun:test";
import { load } from "../../test/support/decisions.ts";
import { commNamesOf, execNamesOf } from "./commNames.ts";
import { policyFromFlags } from "./policy.ts";

test("the names are those of the targets and of the rules, in full, each once", () => {
  expect(commNamesOf(policyFromFlags(["ffmpeg", "gst-launch-1.0"], {}))).toEqual([
    "ffmpeg",
    "gst-launch-1.0",
  ]);
  expect(commNamesOf(policyFromFlags(["a-very-long-encoder"], {}))).toEqual(["a-very-long-encoder"]);
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

test("the names of executed files are those of all rules that govern", () => {
  const rules = `
target_commands: [ffmpeg]
rules:
  - name: ignored
    match: {command: 'test-*'}
    ignore: true
  - name: ignored-path
    match: {exe: /opt/other}
    ignore: true
  - name: all
    match: {user: root}
  - name: packager
    match: {command: shaka-packager, exe: /opt/packager}
`;
  expect(execNamesOf(load(rules))).toEqual(["ffmpeg", "shaka-packager"]);
  expect(execNamesOf(policyFromFlags(["a-very-long-encoder"], {}))).toEqual(["a-very-long-encoder"]);
});

test("a rule that names no command, or a pattern, can match any executed file", () => {
  expect(execNamesOf(load("rules: [{name: x, match: {exe: /opt/encoder}}]"))).toBeUndefined();
  expect(execNamesOf(load("rules: [{name: x, match: {command: 'gst-*'}}]"))).toBeUndefined();
  expect(execNamesOf(load("target_commands: ['*']"))).toBeUndefined();
});
