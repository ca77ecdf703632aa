import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "../../jobs/errors.ts";
import { parseHosts } from "./hosts.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
const file = join(directory, "hosts.yaml");
afterAll(() => rmSync(directory, { recursive: true }));

function refusalOf(text: string, yaml: string): string {
  writeFileSync(file, yaml);
  try {
    parseHosts(text, file);
  } catch (error) {
    if (error instanceof Refusal) return error.message;
  }
  return "";
}

test("machines are named one by one, and by groups, each once", () => {
  writeFileSync(file, "edge: [edge-1, root@edge-2]\npackagers:\n  - 10.0.0.7\n");
  expect(parseHosts("a, edge-1,@edge,@packagers", file)).toEqual(["a", "edge-1", "root@edge-2", "10.0.0.7"]);
});

test("a file of groups is needed only for a group", () => {
  expect(parseHosts("edge-1", join(directory, "missing"))).toEqual(["edge-1"]);
  expect(() => parseHosts("@edge", join(directory, "missing"))).toThrow(/cannot read .*missing: ENOENT/);
});

test.each([
  ["", "edge: [a]", "--on names no machine"],
  ["@none", "edge: [a]", "has no group none"],
  ["@edge", "edge: [a, b", "line 1 is not YAML"],
  ["@edge", "edge: a", ", edge: expected a list of machines"],
  ["@edge", "edge: [-oProxyCommand=x]", '"-oProxyCommand=x" is not the name of a machine'],
  ["-oProxyCommand=x", "", '"-oProxyCommand=x" is not the name of a machine'],
  ["a b", "", '"a b" is not the name of a machine'],
])("%j with %j is refused", (text, yaml, message) => {
  expect(refusalOf(text, yaml)).toContain(message);
});
