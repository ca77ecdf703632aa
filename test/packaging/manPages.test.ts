import { expect, test } from "bun:test";
import { flatten, readCommandTree } from "../../scripts/generate/commandTree.ts";
import { manPages } from "../../scripts/generate/manPages.ts";
import { FFRTMP, lacksCommand, testIf } from "../live/sandbox.ts";

const program = readCommandTree();
const pages = manPages(program, { version: "1.2.3", date: "2026-01-31" });

test("there is a page for every command, and it names what --help names", () => {
  expect(pages.map(({ name }) => name)).toEqual(flatten(program).map(({ words }) => `${words.join("-")}.1`));
  for (const [index, { words }] of flatten(program).entries()) {
    const help = Bun.spawnSync([FFRTMP, ...words.slice(1), "--help"]).stdout.toString();
    const shown = [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, long]) => long as string);
    expect(shown).toContain("--help");
    const text = pages[index]?.text.replaceAll("\\-", "-") ?? "";
    expect(shown.filter((long) => !text.includes(`\\fB${long}\\fR`))).toEqual([]);
  }
});

testIf(lacksCommand("groff"))("groff sets every page without a warning", () => {
  for (const { name, text } of pages) {
    const { stdout, stderr, exitCode } = Bun.spawnSync(["groff", "-man", "-Kutf8", "-Tutf8", "-ww"], {
      stdin: Buffer.from(text),
    });
    expect({ name, exitCode, stderr: stderr.toString() }).toEqual({ name, exitCode: 0, stderr: "" });
    expect(stdout.length).toBeGreaterThan(text.length / 2);
  }
});
