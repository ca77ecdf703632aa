import { afterEach, beforeEach, describe, expect, it, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readHashComments } from "./prose/hashComments.ts";
import { readMarkdown } from "./prose/markdown.ts";
import type { Passage } from "./prose/passage.ts";
import { tokenize } from "./prose/tokens.ts";
import { readComments, readMessages } from "./prose/typescript.ts";
import { countWords, findHits, findOpening } from "./prose/words.ts";

const flatten = (passages: Passage[]) =>
  passages.map(({ line, text }) => `${line} ${text.replace(/\s+/g, " ").trim()}`);

describe("tokenize()", () => {
  const BACKTICK = "`";
  const tokensOf = (source: string) =>
    tokenize(source).map(({ kind, start, end }) => `${kind} ${source.slice(start, end)}`);

  it.each([
    ["a comment mark in a string", `f("// no", '/* no */')`, ['string "// no"', "string '/* no */'"]],
    ["an escaped quotation mark", `"\\"// no" // yes`, ['string "\\"// no"', "line-comment // yes"]],
    ["a URL in a string", `get("https://a.example/b")`, ['string "https://a.example/b"']],
    ["a URL in a comment", "// https://a.example", ["line-comment // https://a.example"]],
    ["a comment mark in a regular expression", "x = /a\\/\\/b/; // yes", ["line-comment // yes"]],
    ["a comment mark in a character class", "x = /[/*]/; // yes", ["line-comment // yes"]],
    ["a quotation mark in a regular expression", `x.split(/["']/); "a"`, ['string "a"']],
    ["a regular expression behind return", "return /'/.test(a) // yes", ["line-comment // yes"]],
    ["a regular expression behind a condition", "if (a) /'/.exec(b) // yes", ["line-comment // yes"]],
    ["a regular expression behind an arrow", "a => /`/ // yes", ["line-comment // yes"]],
    ["a division behind parentheses", `f(a) / b / "c"`, ['string "c"']],
    ["a division behind brackets", `a[0] / b / "c"`, ['string "c"']],
    ["a division behind an increment", `a++ / b / "c"`, ['string "c"']],
    ["a division behind a property named like an operator", `a.return / b / "c"`, ['string "c"']],
    ["a comment in a comment", "/* // */ /* /* */", ["block-comment /* // */", "block-comment /* /* */"]],
    ["the first line of a script", "#!/usr/bin/env // no\n// yes", ["line-comment // yes"]],
    ["an unclosed comment", "a /* b", ["block-comment /* b"]],
  ])("%s", (_, source, expected) => {
    expect(tokensOf(source)).toEqual(expected);
  });

  it("templates, and in them braces, comments, strings and templates", () => {
    const inner = `${BACKTICK}b // no $\{"}" + c}${BACKTICK}`;
    const outer = `${BACKTICK}a // no $\{ { d: ${inner} }.d /* yes } */ } e /* no */${BACKTICK}`;
    expect(tokensOf(`${outer} // yes`)).toEqual([
      `template ${outer}`,
      `template ${inner}`,
      'string "}"',
      "block-comment /* yes } */",
      "line-comment // yes",
    ]);
    expect(tokenize(outer)[0]?.holes).toHaveLength(1);
  });

  it("a dollar sign and an escaped one in a template", () => {
    const source = `${BACKTICK}$ \\$\{ \\${BACKTICK} // no${BACKTICK} // yes`;
    expect(tokensOf(source).slice(1)).toEqual(["line-comment // yes"]);
  });
});

describe("readComments()", () => {
  const commentsOf = (source: string) => flatten(readComments(source));

  it("joins lines that follow each other, and no others", () => {
    expect(commentsOf("// one\n  // two\n\n// three\na; // four\nb; // five")).toEqual([
      "1 one two",
      "4 three",
      "5 four",
      "6 five",
    ]);
  });

  it("removes marks, code and URLs", () => {
    expect(commentsOf("/**\n * One `told()`\n * two https://a.example/told, three.\n */")).toEqual([
      "1 One two three.",
    ]);
  });

  it("knows doc comments", () => {
    expect(readComments("/** a */ /* b */ // c\n/**/").map(({ isDoc }) => isDoc)).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });

  it("reads comments of SQL statements", () => {
    expect(commentsOf("a(`\nCREATE TABLE b (\n  -- one two\n  c);\n  -- three\n`)")).toEqual([
      "3 one two",
      "5 three",
    ]);
  });
});

describe("readMessages()", () => {
  const messagesOf = (source: string) => flatten(readMessages(source));

  it.each([
    ["short texts and paths", `import a from "./b c d"; f("one two", "/x y/z")`, ["1 ./b c d"]],
    ["SQL", `db.query("SELECT a FROM b WHERE c = ?"); more("AND d = ? ORDER BY e")`, []],
    ["regular expressions", "/one two three/.test(a)", []],
    ["comments", `// "one two three"`, []],
    ["escapes", `"one\\ntwo \\"three\\""`, ["1 one two three"]],
    ["interpolated parts", `\`job \${id ?? "none of all"} lies\``, ["1 job lies", "1 none of all"]],
    [
      "an interpolated part as a word",
      `\`told by \${a}\`; \`told\${b}\`; \`\${c} told \${d}\``,
      ["1 told by"],
    ],
    ["joined texts", `"one " +\n  "two " + \`three\``, ["1 one two three"]],
    ["texts of several lines", "\n`one\ntwo three`", ["2 one two three"]],
    ["a path in a text", `"cannot read /told/by it"`, ["1 cannot read it"]],
  ])("%s", (_, source, expected) => {
    expect(messagesOf(source)).toEqual(expected);
  });
});

describe("readHashComments()", () => {
  const shell = (source: string) => flatten(readHashComments(source, "shell"));
  const yaml = (source: string) => flatten(readHashComments(source, "yaml"));

  it.each([
    ["the first line", "#!/bin/sh\n# one\n# two\n\nx # three", ["2 one two", "5 three"]],
    ["quoted text", `echo "# no" '# no' "\\" # no" # yes`, ["1 yes"]],
    ["quoted text of several lines", "echo 'a\n# no' # yes", ["2 yes"]],
    ["expansions", `echo \${#a} \${a#b} $# a#b \\# # yes`, ["1 yes"]],
    ["a here-document", "cat <<'END' # one\n# no\nit's\nEND\n# two", ["1 one", "5 two"]],
    ["a here-document with tabs and a here-string", "cat <<-END\n# no\n\tEND\ncat <<<a # yes", ["4 yes"]],
    ["a shift to the left", "a=$((1 <<bits)) # one\n# two", ["1 one two"]],
    ["an apostrophe in a comment", "# it's one\nx='# no'", ["1 it's one"]],
  ])("shell: %s", (_, source, expected) => {
    expect(shell(source)).toEqual(expected);
  });

  it.each([
    ["lines and ends of lines", "# one\na: b # two\n", ["1 one", "2 two"]],
    ["quoted values", `a: "b # no" # one\nc: 'it''s # no' # two`, ["1 one", "2 two"]],
    ["a number sign in a word", "a: b#c\nd: http://e/#f", []],
    ["an apostrophe in a word", "a: it's # yes", ["1 yes"]],
  ])("YAML: %s", (_, source, expected) => {
    expect(yaml(source)).toEqual(expected);
  });

  it("unit files: lines only", () => {
    expect(flatten(readHashComments("; one\n[Unit]\nA=b # no\n# two", "lines"))).toEqual(["1 one", "4 two"]);
  });
});

describe("readMarkdown()", () => {
  it.each([
    ["paragraphs", "# one\ntwo\nthree\n\nfour", ["1 # one", "2 two three", "5 four"]],
    [
      "lists and tables",
      "- one\n  two\n- three\n\n| four | five |\n|---|",
      ["1 - one two", "3 - three", "5 | four | five |", "6 |---|"],
    ],
    ["a code block", "one\n```sh\nno\n~~~\n```\ntwo", ["1 one", "6 two"]],
    ["a code block with a longer fence", "````\n```\nno\n````\none", ["5 one"]],
    ["a code block in a list", "- one\n  ```\n  no\n  ```\n  two", ["1 - one", "5 two"]],
    ["an unclosed code block", "one\n~~~\nno", ["1 one"]],
    ["an indented code block", "one\n\n    no\n\ntwo", ["1 one", "5 two"]],
    ["an indented paragraph of a list", "1. one\n\n    two", ["1 1. one", "3 two"]],
    ["code in a line", "one `no` ``no ` no`` two ```no``` three\n`no\nno` four", ["1 one two three four"]],
    ["links", "[one](no.md) <https://no.example> <br> two\n[no]: no.md", ["1 [one] two"]],
    ["a quotation", "> one\n> two", ["1 one two"]],
  ])("%s", (_, source, expected) => {
    expect(flatten(readMarkdown(source))).toEqual(expected);
  });
});

test("countWords() counts words, not signs and numbers", () => {
  expect(countWords("It doesn't write — 7 times — to pids.max, x86-64 (1024)")).toBe(8);
});

describe("findHits()", () => {
  const wordsOf = (text: string) => findHits(text).map(({ word }) => word);

  it.each([
    "Somebody",
    "someone's",
    "nobody",
    "no one",
    "Anyone",
    "anybody",
    "everybody",
    "everyone",
    "whoever",
    "whomever",
  ])("finds the person in %p", (text) => {
    expect(findHits(`a ${text} b.`)).toMatchObject([{ kind: "person", offset: 2 }]);
  });

  it.each([
    ["they are told apart", "told"],
    ["Told of it", "told"],
    ["the kernel tells of it", "tells of"],
    ["read anew.", "anew"],
    ["it lies there", "lies"],
    ["where it lie", "lie"],
    ["it lay below", "lay"],
    ["lying below it", "lying"],
    ["stdin stands there", "stands"],
    ["as it stood", "stood"],
    ["it stands by", "stands"],
    ["standing by for it", "standing"],
    ["stands in the way", "stands"],
    ["lets go of it", "lets go"],
    ["let the job go", "let the job go"],
    ["letting it go on", "letting it go"],
    ["it goes\n * on", undefined],
    ["it goes\n   on", "goes on"],
    ["going on with it", "going on"],
    ["it goes on the same way", "goes on"],
    ["are taken up again", "taken up"],
    ["takes it up", "takes it up"],
    ["take up jobs", "take up"],
    ["not to be had", "be had"],
    ["keeps hold of it", "hold of"],
  ])("finds the verb in %p", (text, word) => {
    expect(findHits(text).map(({ kind, word: found }) => [kind, found])).toEqual(
      word === undefined ? [] : [["verb", word]],
    );
  });

  it.each([
    "I believe in flies, belies, replies and applies",
    "the standard is to understand a standalone stand-in that withstands",
    "`*` stands for any characters",
    "the fake stands in for systemd",
    "it stands out",
    "a long-standing standing order",
    "the underlying layer lays out a layout; lay out the page",
    "a lie-detector",
    "an untold number",
    "renewed",
    "tell off, tells offsets",
    "lets the caller go back",
    "let the category be",
    "options go on the command line and to stdout, an ongoing thing",
    "it goes only once",
    "takes up to 3 s, take up 3 MiB, takes up most of the memory",
    "make up, takeup, takes uptime",
    "hold off, on hold offline, held often",
    "it must be handled",
    "the user nobody, uid nobody",
    "there is no one-shot unit, and no oneness",
    "--told /told told.ts told() told_by is-told told/by $told",
    "somebodyElse nobody.test",
    "someones",
  ])("finds nothing in %p", (text) => {
    expect(wordsOf(text)).toEqual([]);
  });

  it("finds each of several, in order", () => {
    expect(wordsOf("told that nobody lies")).toEqual(["told", "nobody", "lies"]);
  });
});

test("findOpening() finds relative words at the start only", () => {
  const found = ["  What it is", "Whether a", "Of these", "Those", "Who", "Whose"].map(findOpening);
  expect(found.every(([hit]) => hit !== undefined)).toBe(true);
  expect(found[0]).toEqual([{ kind: "opening", word: "What", offset: 2 }]);
  expect(["Returns what", "Whatever", "Offset", "", "Who-is"].flatMap(findOpening)).toEqual([]);
});

describe("scripts/prose.ts", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "prose-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function run(files: Record<string, string>, ...args: string[]) {
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, file)), { recursive: true });
      writeFileSync(join(directory, file), text);
    }
    const script = join(import.meta.dir, "prose.ts");
    const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, script, ...args], {
      cwd: directory,
    });
    return { stdout: stdout.toString().trimEnd().split("\n"), stderr: stderr.toString(), exitCode };
  }

  const plain = "The kernel moves each process. ".repeat(100);

  it("passes plain text, and prints the table", () => {
    const files = { "README.md": plain, "src/a.ts": `/** ${plain} */\nf("${plain}");` };
    expect(run(files)).toEqual({
      stdout: [
        "               words   persons per 1,000     verbs per 1,000",
        "comments         500         0      0.00         0      0.00",
        "documents        500         0      0.00         0      0.00",
        "messages         500         0      0.00         0      0.00",
        "total           1500         0      0.00         0      0.00",
        "0 of 1 doc comments in src/ start with a relative word: 0.0 %",
      ],
      stderr: "",
      exitCode: 0,
    });
  });

  it("fails where one group has too many, and lists those alone", () => {
    const files = { "README.md": plain.repeat(20), "src/a.ts": `\n// Nobody is\n// told.\n// ${plain}` };
    const { stdout, stderr, exitCode } = run(files);
    expect(exitCode).toBe(1);
    expect(stderr).toBe("comments: 1.99 persons without a name per 1,000 words; at most 0.5\n");
    expect(stdout.filter((line) => /:\d+: /.test(line))).toEqual(["src/a.ts:2: nobody: // Nobody is"]);
    expect(run({}, "--list").stdout[1]).toBe("src/a.ts:3: told: // told.");
    expect(run({}, "README.md").exitCode).toBe(0);
    expect(run({}, "src").exitCode).toBe(1);
  });

  it("fails where too many doc comments start with a relative word", () => {
    const { stderr } = run({ "src/a.ts": "/** What it is. */\n/** A job. */", "test/b.ts": "/** Who */" });
    expect(stderr).toBe("comments: 50.00 % of doc comments start with a relative word; at most 6\n");
  });

  it("reads packaging and scripts, manual pages, and no messages of tests", () => {
    const { stdout } = run(
      {
        "packaging/a.service": "# nobody",
        "packaging/b.yaml": "a: b # nobody",
        "packaging/debian/postinst": "#!/bin/sh\nx # nobody",
        "scripts/c.sh": "# nobody",
        "packaging/d.json": `{"a": "nobody"}`,
        "src/e.test.ts": `test("nobody is at home")`,
        "src/f.ts": `f("nobody is at home")`,
        "src/fixtures/h.ts": `f("nobody is at home")`,
        "scripts/generate/i.ts": `f("nobody is at home")`,
        "docs/adr/g.md": "nobody",
      },
      "--list",
    );
    expect(stdout.filter((line) => line.includes(": nobody: ")).map((line) => line.split(":")[0])).toEqual([
      "docs/adr/g.md",
      "packaging/a.service",
      "packaging/b.yaml",
      "packaging/debian/postinst",
      "scripts/c.sh",
      "scripts/generate/i.ts",
      "src/f.ts",
    ]);
  });

  it("refuses paths without files", () => {
    expect(run({ "README.md": "a" }, "nowhere")).toEqual({
      stdout: [""],
      stderr: "no file to check in nowhere\n",
      exitCode: 2,
    });
  });
});
