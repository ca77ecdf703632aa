import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";

/**
 * Writes docs/adr/README.md, the index of the architecture decision records. With --check, writes nothing and
 * fails if the index is out of date or a record does not have the form that the index describes.
 */
const ROOT = resolve(import.meta.dir, "..");
const FOLDER = resolve(ROOT, "docs/adr");
const INDEX = resolve(FOLDER, "README.md");

const REQUIRED = ["Context", "Decision", "Consequences", "Code and tests"];
const SECTIONS = ["Context", "Decision", "Consequences", "Measured", "Code and tests"];

const PREAMBLE = `# Architecture decision records

One file for each decision where there was a choice: the context, the decision, its consequences, what was
measured, and the code and tests that keep it. When a decision changes, its record stays: a new record is added,
and the earlier one gets the status \`superseded by NNNN\`.

To add a record, copy the newest file to the next number. It has the title \`# NNNN. Title\`, the lines \`Status:\`
(\`accepted\` or \`superseded by NNNN\`) and \`Date:\` (YYYY-MM-DD), and the sections
${SECTIONS.join(", ")}. Leave out Measured when nothing was measured. Then run
\`node_modules/.bin/bun scripts/adrIndex.ts\`, which writes this file.
`;

interface AdrFile {
  name: string;
  /** The four digits that the file's name starts with. */
  number: string;
  title: string;
  status: string;
  date: string;
  /** Text by heading, in the order of the file. */
  sections: Map<string, string>;
}

const faults: string[] = [];
const files = [...new Bun.Glob("[0-9]*.md").scanSync(FOLDER)].sort().map(read);
checkNumbers();
for (const file of files) checkFile(file);
const index = `${PREAMBLE}\n${table()}`;
if (!process.argv.includes("--check")) writeFileSync(INDEX, index);
else if (!existsSync(INDEX) || readFileSync(INDEX, "utf8") !== index)
  faults.push("docs/adr/README.md is not what the records say");

for (const fault of faults) console.error(fault);
process.exit(faults.length === 0 ? 0 : 1);

function read(name: string): AdrFile {
  const text = readFileSync(resolve(FOLDER, name), "utf8");
  const [head = "", ...rest] = text.split(/^## /m);
  const lineOf = (key: string) => new RegExp(`^${key}: (.+)$`, "m").exec(head)?.[1] ?? "";
  return {
    name,
    number: /^(\d{4})-[a-z0-9-]+\.md$/.exec(name)?.[1] ?? "",
    title: /^# (.+)$/m.exec(head)?.[1] ?? "",
    status: lineOf("Status"),
    date: lineOf("Date"),
    sections: new Map(
      rest.map((section): [string, string] => {
        const end = section.indexOf("\n");
        return [section.slice(0, end), section.slice(end + 1)];
      }),
    ),
  };
}

function checkNumbers(): void {
  for (const { name, number } of files)
    if (number === "") faults.push(`docs/adr/${name}: a record's name is NNNN-words-in-lower-case.md`);
  const position = files.findIndex(({ number }, index) => Number(number) !== index + 1);
  if (position < 0) return;
  const expected = String(position + 1).padStart(4, "0");
  const isRepeated = files[position]?.number === files[position - 1]?.number;
  faults.push(
    isRepeated
      ? `docs/adr/${files[position]?.name}: the number is repeated`
      : `docs/adr: the number ${expected} is missing`,
  );
}

function checkFile({ name, number, title, status, date, sections }: AdrFile): void {
  const fault = (text: string) => faults.push(`docs/adr/${name}: ${text}`);
  if (!title.startsWith(`${number}. `)) fault(`the first line is not "# ${number}. Title"`);
  if (!/^\d{4}-\d{2}-\d{2}$/.test(date)) fault(`"Date: YYYY-MM-DD" is missing`);
  checkStatus(number, status, fault);

  for (const section of REQUIRED)
    if (!sections.get(section)?.trim()) fault(`the section ${section} is missing or empty`);
  const order = [...sections.keys()].map((section) => SECTIONS.indexOf(section));
  if (order.includes(-1) || order.some((rank, position) => rank < (order[position - 1] ?? 0)))
    fault(`the sections are ${SECTIONS.join(", ")}, in this order`);

  const code = sections.get("Code and tests") ?? "";
  for (const [, path = ""] of code.matchAll(/`((?:src|test|scripts|packaging|bench)\/[^`\s]+)`/g))
    if (!existsSync(resolve(ROOT, path))) fault(`Code and tests names ${path}, which does not exist`);
}

function checkStatus(number: string, status: string, fault: (text: string) => void): void {
  if (status === "accepted") return;
  const successor = /^superseded by (\d{4})$/.exec(status)?.[1];
  if (successor === undefined) fault(`"Status:" is neither "accepted" nor "superseded by NNNN"`);
  else if (successor === number || !files.some((file) => file.number === successor))
    fault(`is superseded by ${successor}, which is no other record`);
}

function table(): string {
  const rows = files.map(({ name, number, title, status, date }) => {
    const words = title.replace(/^\d{4}\. /, "").replaceAll("|", "\\|");
    const successor = /\d{4}$/.exec(status)?.[0];
    const file = files.find((candidate) => candidate.number === successor)?.name;
    const link = file === undefined ? status : `superseded by [${successor}](${file})`;
    return `| [${number}](${name}) | ${words} | ${link} | ${date} |`;
  });
  return ["| number | title | status | date |", "|---|---|---|---|", ...rows, ""].join("\n");
}
