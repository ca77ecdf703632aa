import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type CommandNode, flatten, readCommandTree } from "../../scripts/generate/commandTree.ts";

const ROOT = resolve(import.meta.dir, "../..");
const DOCUMENTS = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...new Bun.Glob("docs/*.md").scanSync(ROOT),
];
const program = readCommandTree();

/** Lists every call of ffrtmp in a document, without the command after `--`. */
function callsIn(document: string): string[] {
  const text = readFileSync(join(ROOT, document), "utf8");
  const blocks = [...text.matchAll(/^```\w*\n(.*?)^```/gms)].flatMap(([, block = ""]) => block.split("\n"));
  const inline = [...text.replaceAll(/^```.*?^```/gms, "").matchAll(/`([^`]+)`/g)].map(
    ([, code = ""]) => code,
  );
  return (
    [...blocks, ...inline]
      .map((line) => line.trim().replace(/^\$ /, "").replace(/\s+/g, " "))
      .filter((line) => line.startsWith("ffrtmp ") && !/^ffrtmp [^a-z-]/.test(line))
      .map((line) => line.split(/ -- | {2,}#| # /)[0] as string)
      // Several calls on one line, also by ssh on another machine or by xargs for each line.
      .flatMap((line) => line.split(/ (?:\||&&) (?:ssh \S+ |xargs (?:-\S+ (?:\d+ )?)*)?(?=ffrtmp )/))
  );
}

function commandOf(words: string[]): CommandNode {
  const commands = flatten(program).filter((each) =>
    each.words.every((word, index) => word === words[index]),
  );
  return commands.at(-1) as CommandNode;
}

test.each(DOCUMENTS)("%s mentions only existing commands and options", (document) => {
  for (const call of callsIn(document)) {
    const words = call.split(" ");
    const command = commandOf(words);
    const isNamed = command !== program || /^(ffrtmp -|ffrtmp$|ffrtmp COMMAND\b)/.test(call);
    expect({ call, isNamed }).toEqual({ call, isNamed: true });
    const known = [
      "--help",
      "--version",
      "-V",
      ...command.options.flatMap(({ short, long }) => [short, long]),
    ];
    const options = words.filter((word) => /^--?[a-z]/i.test(word)).map((word) => word.replace(/[=,].*/, ""));
    expect({ call, unknown: options.filter((option) => !known.includes(option)) }).toEqual({
      call,
      unknown: [],
    });
  }
});

test("the documents mention more than 40 calls of ffrtmp", () => {
  expect(DOCUMENTS.flatMap(callsIn).length).toBeGreaterThan(40);
});

test.each(DOCUMENTS)("%s links only to existing files and headings", (document) => {
  const text = readFileSync(join(ROOT, document), "utf8");
  for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^https?:/.test(target)) continue;
    const [path = "", heading] = target.split("#");
    const file = path === "" ? join(ROOT, document) : join(ROOT, dirname(document), path);
    expect({ target, exists: existsSync(file) }).toEqual({ target, exists: true });
    if (heading === undefined) continue;
    const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\s-]/g, "")
        .replaceAll(" ", "-"),
    );
    expect(headings).toContain(heading);
  }
});
