import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

interface TestCase {
  file: string;
  name: string;
  outcome: "passed" | "failed" | "skipped";
}

/** Of what a failed test printed, so that a log whose start is cut off still has the faults of some. */
const [MAX_LINES, MAX_COLUMNS] = [24, 240];

/**
 * Reads the JUnit report of a test run, or its output.
 *
 *   testReport.ts counts REPORT STATUS [ARG…]   prints the numbers of passed, failed and skipped tests
 *   testReport.ts failed REPORT                 prints the files with failed tests
 *   testReport.ts faults OUTPUT                 prints each failed test with its fault, and what ran again
 *
 * STATUS is the exit code of `bun test`, and the ARGs are its arguments: the report shows a test that `-t`
 * excludes as skipped. A run without a report counts as one failure, and so does an exit code
 * other than 0 without a failed test: the report has no entry for an error outside of every test.
 */
const { positionals, values } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { "test-name-pattern": { type: "string", short: "t", default: "" } },
});
const [command, path = "", status] = positionals;

if (command === "counts" && status !== undefined) {
  const cases = readReport(path);
  const pattern = new RegExp(String(values["test-name-pattern"]));
  const chosen = (cases ?? []).filter(({ name, outcome }) => outcome !== "skipped" || pattern.test(name));
  const count = (wanted: TestCase["outcome"]): number =>
    chosen.filter(({ outcome }) => outcome === wanted).length;
  const failed = count("failed");
  const hasHiddenFailure = failed === 0 && (cases === undefined || Number(status) !== 0);
  console.log(`${count("passed")} ${hasHiddenFailure ? 1 : failed} ${count("skipped")}`);
} else if (command === "failed") {
  const files = (readReport(path) ?? [])
    .filter(({ outcome }) => outcome === "failed")
    .map(({ file }) => file);
  for (const file of new Set(files)) console.log(file);
} else if (command === "faults") {
  for (const line of faultsIn(readFileSync(path, "utf8"))) console.log(line);
} else {
  console.error(
    "usage: testReport.ts counts REPORT STATUS [ARG…] | testReport.ts failed REPORT | testReport.ts faults OUTPUT",
  );
  process.exit(2);
}

/** Returns `undefined` if the report is missing or incomplete: Bun writes the report at its end. */
function readReport(path: string): TestCase[] | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  return text.trimEnd().endsWith("</testsuites>") ? parseReport(text) : undefined;
}

/**
 * Lists the tests of a report:
 *
 *     <testcase name="ok" classname="group" time="0.04" file="a.test.ts" line="2" assertions="0" />
 *     <testcase name="bad" …><failure type="AssertionError" message="…">…</failure></testcase>
 *
 * Bun writes `<`, `>`, `&` and quotes within names and messages as entities.
 */
function parseReport(text: string): TestCase[] {
  return [...text.matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)].map(
    ([, attributes = "", content = ""]) => ({
      file: attribute(attributes, "file"),
      name: `${attribute(attributes, "classname")} ${attribute(attributes, "name")}`.trim(),
      outcome: /<(?:failure|error)\b/.test(content)
        ? "failed"
        : /<skipped\b/.test(content)
          ? "skipped"
          : "passed",
    }),
  );
}

/**
 * Returns the lines about failed tests. Bun prints what a test printed, its error, and then its result. Lines of
 * several virtual machines are mixed, and begin with `kernel 6.12: `.
 */
function faultsIn(output: string): string[] {
  const recent = new Map<string, string[]>();
  const faults: string[] = [];
  for (const line of output.split("\n")) {
    const [, machine = "", text = ""] = /^(kernel [\d.]+: )?(.*)$/.exec(line) ?? [];
    const lines = recent.get(machine) ?? [];
    recent.set(machine, lines);
    if (text.startsWith("(fail)"))
      faults.push(...lines.slice(-MAX_LINES).map((each) => each.slice(0, MAX_COLUMNS)), line);
    else if (text.startsWith("running again")) faults.push(line);
    if (/^\((fail|pass|skip|todo)\)|\.test\.ts:$/.test(text)) lines.length = 0;
    else if (text.trim() !== "") lines.push(line);
  }
  return faults;
}

function attribute(attributes: string, name: string): string {
  const [, text = ""] = new RegExp(`\\b${name}="([^"]*)"`).exec(attributes) ?? [];
  return text.replace(/&(lt|gt|amp|quot|apos);/g, (_, entity: keyof typeof ENTITIES) => ENTITIES[entity]);
}
