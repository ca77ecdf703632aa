import { readFileSync } from "node:fs";
import { SPELLINGS } from "../../src/limits/spellings.ts";
import { TASK_LIMITS } from "../../src/limits/table.ts";
import { type DescribedKey, describeKeys } from "../../src/policy/file/describe.ts";
import type { ManRelease } from "./manRelease.ts";
import { markdownLines, sectionOf } from "./markdownText.ts";
import { bold, page, prose, quoted, tagged } from "./roff.ts";
import { spellingEntries } from "./spellingEntries.ts";

const DOCUMENT = "docs/policy.md";

/** The sections of keys, each with its path in the file and an introduction. */
const SECTIONS: [heading: string, path: PropertyKey[], text: string][] = [
  ["THE FILE", [], ""],
  [
    "FILTERS",
    ["filters"],
    "In filters, and for one command in commands.NAME.filters. An empty list restricts nothing.",
  ],
  ["COMMANDS", ["commands", ""], "In commands, below the name of a command."],
  ["RULES", ["rules", 0], "In each item of the list rules."],
  ["MATCHES", ["rules", 0, "match"], "In a rule's match. A list matches when one of its items does."],
  [
    "LABELS",
    ["rules", 0, "match", "labels"],
    "In labels of a rule's match: the identity of a process in its scheduler. Jobs have them as their own labels.",
  ],
  ["INTENTS", ["intents"], "In intents. Jobs with the intent of a rule get these limits."],
  ["RETENTION", ["retention"], "In retention."],
  [
    "LIMITS",
    ["default_limits"],
    `In default_limits, commands.NAME.limits and a rule's limits. The totals of a tenant, in tenants below its name, are the same without ${TASK_LIMITS.join(", ")}.`,
  ],
];

/** Returns the manual page of the policy file: the keys from the schema, the rest from docs/policy.md. */
export function policyPage({ version, date }: ManRelease): string {
  const document = readFileSync(DOCUMENT, "utf8");
  const fromDocument = (heading: string): string[] => markdownLines(sectionOf(document, heading));
  const introduction = document.split("\n## ")[0]?.replace(/^# .*\n/, "") ?? "";
  const keys = SECTIONS.map(([heading, path, text]): [string, string[]] => [
    heading,
    [...(text === "" ? [] : [".PP", prose(text)]), ...describeKeys(path).flatMap(keyEntry)],
  ]);
  return page(
    [quoted("FFRTMP-POLICY"), "5", quoted(date), quoted(`ffrtmp ${version}`), quoted("File Formats")],
    [
      ["NAME", ["ffrtmp-policy \\- which processes ffrtmp governs, and their limits"]],
      ["SYNOPSIS", [bold("/etc/ffrtmp/policy.yaml")]],
      ["DESCRIPTION", markdownLines(introduction)],
      ["HOW A PROCESS IS JUDGED", fromDocument("How a process is judged")],
      ...keys,
      ["VALUES", spellingEntries(SPELLINGS.map(({ value }) => value))],
      ["PATTERNS", fromDocument("Patterns")],
      ["TENANTS", fromDocument("Tenants")],
      ["WHAT CAN BE TRUSTED", fromDocument("What can be trusted")],
      ["EXAMPLES", ["A live edge", "A batch box", "Many tenants"].flatMap(fromDocument)],
      [
        "FILES",
        [
          ...tagged(bold("/etc/ffrtmp/policy.yaml"), "the policy of ffrtmp\\-watch.service"),
          ...tagged(
            bold("/usr/share/ffrtmp/policy.schema.json"),
            "the same keys for editors, as JSON Schema",
          ),
        ],
      ],
      [
        "SEE ALSO",
        ['.BR "ffrtmp\\-policy" (1),', '.BR "ffrtmp\\-watch" (1),', '.BR "ffrtmp" (1),', '.BR "cgroups" (7)'],
      ],
    ],
  );
}

function keyEntry({ key, meaning, right, must }: DescribedKey): string[] {
  const value = right.join("; ");
  const texts = meaning === undefined ? [sentence(value)] : [sentence(meaning)];
  if (meaning !== undefined && value !== "") texts.push(`Value: ${value}.`);
  if (must) texts.push("Required.");
  return tagged(bold(key), prose(texts.join(" ")));
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}.`;
}
