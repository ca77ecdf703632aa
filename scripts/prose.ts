import { relative, resolve } from "node:path";
import { GROUPS, type Group, measure } from "./prose/measure.ts";
import type { Hit } from "./prose/words.ts";

// Counts words that plain technical English avoids, in comments, documents and messages, and fails if there
// are too many of them. Usage: prose.ts [--list] [PATH…]
const MAX_PERSONS_PER_1000 = 0.5;
const MAX_VERBS_PER_1000 = 2;
/** The share of doc comments in src/ that may start with What, Whether, Of, Those, Who or Whose. */
const MAX_OPENINGS_PERCENT = 6;

const args = process.argv.slice(2);
const paths = args.filter((arg) => arg !== "--list").map((path) => relative("", resolve(path)) || ".");
const { files, counts, docComments, places } = measure(paths);
if (files === 0) {
  console.error(`no file to check in ${paths.join(", ") || "this directory"}`);
  process.exit(2);
}

const faults: { kind: Hit["kind"]; group: Group | "total"; text: string }[] = [];
const rows = [["", "words", "persons", "per 1,000", "verbs", "per 1,000"]];
for (const group of [...GROUPS, "total"] as const) {
  const { words, persons, verbs } = counts[group];
  const personRate = share(persons, words) * 1000;
  const verbRate = share(verbs, words) * 1000;
  rows.push([group, `${words}`, `${persons}`, personRate.toFixed(2), `${verbs}`, verbRate.toFixed(2)]);
  check("person", group, personRate, MAX_PERSONS_PER_1000, "persons without a name per 1,000 words");
  check("verb", group, verbRate, MAX_VERBS_PER_1000, "verbs to avoid per 1,000 words");
}
const openings = places.filter(({ kind }) => kind === "opening").length;
const openingPercent = share(openings, docComments) * 100;
check(
  "opening",
  "comments",
  openingPercent,
  MAX_OPENINGS_PERCENT,
  "% of doc comments start with a relative word",
);

for (const place of places) {
  const isExceeded = faults.some(
    ({ kind, group }) => kind === place.kind && (group === "total" || group === place.group),
  );
  if (args.includes("--list") || isExceeded) {
    console.log(`${place.file}:${place.line}: ${place.word}: ${place.text.trim()}`);
  }
}
for (const row of rows) {
  console.log(row.map((cell, column) => (column === 0 ? cell.padEnd(10) : cell.padStart(10))).join(""));
}
console.log(
  `${openings} of ${docComments} doc comments in src/ start with a relative word: ${openingPercent.toFixed(1)} %`,
);
for (const { text } of faults) console.error(text);
process.exit(faults.length === 0 ? 0 : 1);

function check(kind: Hit["kind"], group: Group | "total", figure: number, max: number, label: string): void {
  if (figure > max)
    faults.push({ kind, group, text: `${group}: ${figure.toFixed(2)} ${label}; at most ${max}` });
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
