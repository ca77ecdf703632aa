import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TEST_REPORT = new URL("testReport.ts", import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), "ffrtmp-report-"));
const report = join(directory, "report.xml");
afterAll(() => rmSync(directory, { recursive: true }));

const SOME_OF_EACH = `
  test("a passes & <is> \\"quoted\\"", () => {});
  test("b passes, too", () => console.log("</testcase><failure>"));
  test.skip("c is skipped", () => {});
  describe.skip("group", () => { test("d is skipped", () => {}); });
  test("e fails", () => { expect("</testcase><skipped />").toBe(""); });
`;

/** Runs a test file with these tests, keeps its report, and returns the exit code. */
function runTests(source: string, ...args: string[]): string {
  rmSync(report, { force: true });
  writeFileSync(
    join(directory, "sample.test.ts"),
    `import { describe, expect, test } from "bun:test";${source}`,
  );
  const words = ["test", "--reporter=junit", `--reporter-outfile=${report}`, ...args, "sample"];
  return String(Bun.spawnSync([process.execPath, ...words], { cwd: directory }).exitCode);
}

function read(...args: string[]): string {
  return Bun.spawnSync([process.execPath, TEST_REPORT, ...args]).stdout.toString();
}

test("the counts are those of the report", () => {
  expect(read("counts", report, runTests(SOME_OF_EACH))).toBe("2 1 2\n");
  expect(read("counts", report, runTests('test("passes", () => {});'))).toBe("1 0 0\n");
});

test("what a pattern leaves out is not counted as skipped", () => {
  for (const [pattern, counts] of [
    ["^[abc]", "2 0 1\n"],
    ['& <is> "quoted"|group', "1 0 1\n"],
  ] as const)
    expect(read("counts", report, runTests(SOME_OF_EACH, "-t", pattern), "-t", pattern)).toBe(counts);
});

test("an error outside of every test counts as a failure", () => {
  expect(read("counts", report, runTests('test("passes", () => {}); throw new Error("outside");'))).toBe(
    "0 1 0\n",
  );
});

test("a run that dies, and one without a whole report, count as a failure", () => {
  const status = runTests('test("dies", () => process.kill(process.pid, "SIGKILL"));');
  expect(read("counts", report, status)).toBe("0 1 0\n");
  writeFileSync(report, '<testsuites>\n<testcase name="passes" file="a.test.ts" />\n');
  expect(read("counts", report, "0")).toBe("0 1 0\n");
  expect(read("failed", report)).toBe("");
});

test("the files of failed tests are named once", () => {
  runTests(`${SOME_OF_EACH} test("f fails", () => { throw new Error("again"); });`);
  expect(read("failed", report)).toBe("sample.test.ts\n");
});

test("a failed test is printed with its fault, among the lines of several machines", () => {
  const output = join(directory, "output");
  writeFileSync(
    output,
    [
      "a.test.ts:",
      "(pass) quiet [1.00ms]",
      "kernel 6.1: error: of another machine",
      "error: expect(received).toBe(expected)",
      "",
      "  at a.test.ts:7:3",
      "(fail) bad [2.00ms]",
      "kernel 6.1: (pass) slow [3.00ms]",
      "kernel 6.1: running again in a new machine, because 1 failed: b.test.ts",
    ].join("\n"),
  );
  expect(read("faults", output).split("\n")).toEqual([
    "error: expect(received).toBe(expected)",
    "  at a.test.ts:7:3",
    "(fail) bad [2.00ms]",
    "kernel 6.1: running again in a new machine, because 1 failed: b.test.ts",
    "",
  ]);
});
