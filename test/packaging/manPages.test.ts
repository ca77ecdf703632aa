import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { flatten, readCommandTree } from "../../scripts/generate/commandTree.ts";
import { manPages } from "../../scripts/generate/manPages.ts";
import { MAN_TEXTS } from "../../scripts/generate/manText.ts";
import { SPELLINGS } from "../../src/limits/spellings.ts";
import { toJsonSchema } from "../../src/policy/file/describe.ts";
import { FFRTMP, lacksCommand, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();

const program = readCommandTree();
const pages = manPages(program, { version: "1.2.3", date: "2026-01-31" });

test("every command has a manual page with the options of its --help", () => {
  const commands = flatten(program).map(({ words }) => `${words.join("-")}.1`);
  expect(pages.flatMap(({ name, section }) => (section === "1" ? [name] : []))).toEqual(commands);
  for (const [index, { words }] of flatten(program).entries()) {
    const help = Bun.spawnSync([FFRTMP, ...words.slice(1), "--help"]).stdout.toString();
    const shown = [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, long]) => long as string);
    expect(shown).toContain("--help");
    const text = pages[index]?.text.replaceAll("\\-", "-") ?? "";
    expect(shown.filter((long) => !text.includes(`\\fB${long}\\fR`))).toEqual([]);
  }
});

test("the manual of the policy file describes every key of its schema, with examples of its values", () => {
  const text = pages.find(({ name }) => name === "ffrtmp-policy.5")?.text.replaceAll("\\-", "-") ?? "";
  expect(text).toMatch(/^\.TH "FFRTMP-POLICY" 5 /m);
  const schema = JSON.stringify(toJsonSchema());
  const keys = [...schema.matchAll(/"(\w+)":\{"(?:description|\$ref|anyOf|type)"/g)].map(
    ([, key]) => key as string,
  );
  const known = new Set(
    keys.filter((key) => !/^__schema|^(items|propertyNames|additionalProperties|env)$/.test(key)),
  );
  expect(known.size).toBeGreaterThan(40);
  for (const key of known) expect(text).toContain(key);
  for (const { examples } of SPELLINGS) expect(text).toContain(examples.join(", "));
});

/** Command lines that print the whole table of a page. */
const TABLES: Record<string, string[]> = { "ffrtmp ps": ["ps", "-a"], "ffrtmp stats": ["stats", "--once"] };

/** Columns of a machine that this one is not: test/live/gpu.test.ts shows them. */
const OF_GPUS = ["GPU %", "ENC %", "DEC %", "GPU MEM"];

test("the manual of a command that prints a table explains its columns, in their order", async () => {
  const pagesWithColumns = Object.entries(MAN_TEXTS).filter(([, { columns }]) => columns !== undefined);
  expect(pagesWithColumns.map(([name]) => name)).toEqual(
    expect.arrayContaining(["ffrtmp ps", "ffrtmp stats", "ffrtmp history", "ffrtmp doctor"]),
  );
  for (const [name, { columns = [] }] of pagesWithColumns) {
    const { stdout } = await sandbox().run(TABLES[name] ?? name.split(" ").slice(1));
    const headings = (stdout.split("\n")[0] ?? "").split(/ {2,}/).map((heading) => heading.trim());
    const explained = columns.map(([heading]) => heading);
    const here = explained.filter((heading) => headings.includes(heading) || !OF_GPUS.includes(heading));
    expect({ name, columns: here }).toEqual({ name, columns: headings });
  }
});

test("the manuals of history explain every reason that a verdict can have", () => {
  const source = readFileSync(join(import.meta.dir, "../../src/jobs/exit/sla.ts"), "utf8");
  const reasons = [...source.matchAll(/(?:return|=|[?:]) *[`"]([a-z]+(?:_[a-z]+)+|detached)\b/g)].map(
    ([, reason]) => reason,
  );
  expect(reasons.length).toBeGreaterThan(9);
  const explained = (MAN_TEXTS["ffrtmp history"]?.reasons ?? []).flatMap(([names]) =>
    names.split(", ").map((name) => name.replace(/\(.*/, "")),
  );
  expect(explained.toSorted()).toEqual([...new Set(reasons)].toSorted() as string[]);
});

test("the manuals of policy commands refer to the manual of the policy file", () => {
  for (const name of ["ffrtmp.1", "ffrtmp-watch.1", "ffrtmp-policy-check.1"]) {
    const text = pages.find((page) => page.name === name)?.text ?? "";
    expect(text.split("SEE ALSO")[1]).toContain('.BR "ffrtmp-policy" (5)');
  }
});

testIf(lacksCommand("mandoc"))("mandoc reports no warning about any manual", () => {
  for (const { name, text } of pages) {
    const { stdout } = Bun.spawnSync(["mandoc", "-T", "lint", "-W", "warning"], { stdin: Buffer.from(text) });
    expect({ name, output: stdout.toString() }).toEqual({ name, output: "" });
  }
});

testIf(lacksCommand("man"))("man shows the manual of the policy file", () => {
  const { text = "" } = pages.find(({ name }) => name === "ffrtmp-policy.5") ?? {};
  const file = `${sandbox().directory}/ffrtmp-policy.5.gz`;
  writeFileSync(file, gzipSync(text));
  const { stdout, stderr, exitCode } = Bun.spawnSync(["man", "--warnings", "-l", file]);
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
  expect(stdout.toString()).toContain("which processes ffrtmp governs");
});

testIf(lacksCommand("groff"))("groff renders every manual without a warning", () => {
  for (const { name, text } of pages) {
    const { stdout, stderr, exitCode } = Bun.spawnSync(["groff", "-man", "-Kutf8", "-Tutf8", "-ww"], {
      stdin: Buffer.from(text),
    });
    expect({ name, exitCode, stderr: stderr.toString() }).toEqual({ name, exitCode: 0, stderr: "" });
    expect(stdout.length).toBeGreaterThan(text.length / 2);
  }
});
