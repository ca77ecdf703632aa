import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BIOME = new URL("../../node_modules/.bin/biome", import.meta.url).pathname;
const PLUGIN = new URL("testReturns.grit", import.meta.url).pathname;

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-lint-"));
afterAll(() => rmSync(directory, { recursive: true }));
writeFileSync(
  join(directory, "biome.json"),
  JSON.stringify({ plugins: [PLUGIN], linter: { rules: { preset: "none" } }, formatter: { enabled: false } }),
);

/** Returns the numbers of the lines that the lint reports. */
function reportedLines(source: string): number[] {
  const file = join(directory, "sample.test.ts");
  writeFileSync(file, source);
  const { stdout } = Bun.spawnSync([BIOME, "lint", "--reporter=github", file], { cwd: directory });
  return [...stdout.toString().matchAll(/^::error .*\bline=(\d+),/gm)].map(([, line]) => Number(line));
}

test.each([
  ["test", 'test("a", () => {\n  if (disk === undefined) return;\n  check(disk);\n});'],
  ["async test", 'test("a", async () => {\n  if (!(await has())) return;\n  check();\n});'],
  ["test that returns a value", 'it("a", () => {\n  if (!has) return console.log("no");\n  check();\n});'],
  ["test with a condition", 'test.skipIf(no)("a", () => {\n  if (!has) return;\n  check();\n});'],
  ["table of tests", 'test.each([[1]])("a", (n) => {\n  if (n > 1) return;\n  check();\n});'],
  ["test by testIf()", 'testIf(lacks("a"))("a", () => {\n  if (!has) return;\n  check();\n});'],
  ["loop of a test", 'test("a", () => {\n  for (const n of all) if (n) return;\n  check();\n});'],
  ["helper that expects", "function check() {\n  if (!has) return;\n  expect(1).toBe(1);\n}"],
  [
    "property",
    'test("a", () => fc.assert(fc.property(s, (n) => {\n  if (!n) return;\n  expect(n).toBe(1);\n})));',
  ],
])("an early return in a %s is reported with its line", (_, source) => {
  expect(reportedLines(source)).toEqual([2]);
});

test("the returns of other functions are not reported", () => {
  const source = `
    test("a", () => {
      const own = () => { return 1; };
      const host = { get root() { return "/"; }, read() { return ""; } };
      check(own(), host);
      expect([1].map((n) => { if (n) return n; return 2; })).toEqual([1]);
    });
    function read() { expect(1).toBe(1); return 1; }
    beforeAll(() => { if (!has) return; start(); });
  `;
  expect(reportedLines(source)).toEqual([]);
});
