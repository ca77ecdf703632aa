import { readFileSync } from "node:fs";
import { type HashSyntax, readHashComments } from "./hashComments.ts";
import { readMarkdown } from "./markdown.ts";
import { lineAt, type Passage } from "./passage.ts";
import { readComments, readMessages } from "./typescript.ts";
import { countWords, findHits, findOpening, type Hit } from "./words.ts";

export const GROUPS = ["comments", "documents", "messages"] as const;
export type Group = (typeof GROUPS)[number];

export interface Place extends Omit<Hit, "offset"> {
  group: Group;
  file: string;
  line: number;
  /** The whole line of the file. */
  text: string;
}

export interface Counts {
  words: number;
  persons: number;
  verbs: number;
}

export interface Measurement {
  /** The number of files read. */
  files: number;
  counts: Record<Group | "total", Counts>;
  /** The number of doc comments in src/. */
  docComments: number;
  /** Each hit, in the order of files and lines. */
  places: Place[];
}

const FILES = ["*.md", "docs/**/*.md", "{src,test,bench,scripts}/**/*.{ts,sh,pl}", "packaging/**/*"] as const;

/**
 * Measures the files and directories in `paths`, which are relative to the working directory; all files if it
 * is empty.
 */
export function measure(paths: readonly string[]): Measurement {
  const newCounts = (): Counts => ({ words: 0, persons: 0, verbs: 0 });
  const counts = {
    comments: newCounts(),
    documents: newCounts(),
    messages: newCounts(),
    total: newCounts(),
  };
  const places: Place[] = [];
  let docComments = 0;
  const files = listFiles(paths);
  for (const file of files) {
    const source = readFileSync(file, "utf8");
    const lines = source.split("\n");
    for (const passage of readPassages(file, source)) {
      const hits = findHits(passage.text);
      for (const count of [counts[passage.group], counts.total]) {
        count.words += countWords(passage.text);
        count.persons += hits.filter(({ kind }) => kind === "person").length;
        count.verbs += hits.filter(({ kind }) => kind === "verb").length;
      }
      if (passage.isDoc && file.startsWith("src/")) {
        docComments++;
        hits.push(...findOpening(passage.text));
      }
      for (const { kind, word, offset } of hits) {
        const line = lineAt(passage.text, offset, passage.line);
        places.push({ kind, word, group: passage.group, file, line, text: lines[line - 1] ?? "" });
      }
    }
  }
  return { files: files.length, counts, docComments, places: places.sort(byPlace) };
}

function byPlace(a: Place, b: Place): number {
  return a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line;
}

function listFiles(paths: readonly string[]): string[] {
  const isWanted = (file: string) =>
    paths.length === 0 || paths.some((path) => path === "." || file === path || file.startsWith(`${path}/`));
  return FILES.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync()]).filter(isWanted);
}

function readPassages(file: string, source: string): (Passage & { group: Group; isDoc?: boolean })[] {
  const inGroup = (group: Group) => (passage: Passage) => ({ ...passage, group });
  if (file.endsWith(".md")) return readMarkdown(source).map(inGroup("documents"));
  if (file.endsWith(".ts")) {
    const comments = readComments(source).map(inGroup("comments"));
    return hasMessages(file) ? [...comments, ...readMessages(source).map(inGroup("messages"))] : comments;
  }
  const syntax = hashSyntaxOf(file, source);
  return syntax === undefined ? [] : readHashComments(source, syntax).map(inGroup("comments"));
}

/** Includes scripts/generate: its literals become manual pages and shell completions. */
function hasMessages(file: string): boolean {
  return /^(?:src|scripts\/generate)\//.test(file) && !/\.test\.ts$|\/fixtures\//.test(file);
}

function hashSyntaxOf(file: string, source: string): HashSyntax | undefined {
  if (file.endsWith(".json")) return undefined;
  if (/\.ya?ml$/.test(file)) return "yaml";
  return file.endsWith(".sh") || /^#!.*sh\b/.test(source) ? "shell" : "lines";
}
