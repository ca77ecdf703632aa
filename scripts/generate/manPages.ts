import { type ArgumentNode, type CommandNode, flatten, type OptionNode } from "./commandTree.ts";
import { jsonManPage } from "./jsonManPage.ts";
import { documentTexts, objectTexts } from "./jsonModel.ts";
import type { ManRelease } from "./manRelease.ts";
import { ENVIRONMENT, EXIT_CODES, FILES, MAN_TEXTS } from "./manText.ts";
import { inline } from "./markdownText.ts";
import { policyPage } from "./policyPage.ts";
import { bold, example, italic, page, paragraph, prose, quoted, tagged } from "./roff.ts";
import { spellingEntries } from "./spellingEntries.ts";

export interface ManPage {
  /** `ffrtmp-policy-check.1` */
  name: string;
  section: "1" | "5";
  text: string;
}

/** Returns one page for each command, one for the JSON documents, and one for the policy file. */
export function manPages(program: CommandNode, release: ManRelease): ManPage[] {
  const commands = flatten(program);
  const unknown = Object.keys(MAN_TEXTS).filter(
    (words) => !commands.some((command) => command.words.join(" ") === words),
  );
  if (unknown.length > 0) throw new Error(`manText.ts names unknown commands: ${unknown}`);
  const pages = commands.map(
    (command): ManPage => ({
      name: `${pageName(command)}.1`,
      section: "1",
      text: manPage(command, program, release),
    }),
  );
  return [
    ...pages,
    { name: "ffrtmp-json.5", section: "5", text: jsonManPage(release) },
    { name: "ffrtmp-policy.5", section: "5", text: policyPage(release) },
  ];
}

function manPage(command: CommandNode, program: CommandNode, { version, date }: ManRelease): string {
  const isProgram = command === program;
  const text = MAN_TEXTS[command.words.join(" ")] ?? { description: [], examples: [] };
  const { description, columns = [], reasons = [], examples, unexecuted = [] } = text;
  const sections: [string, string[]][] = [
    ["NAME", [`${prose(pageName(command))} \\- ${prose(command.text.replace(/\.$/, ""))}`]],
    ["SYNOPSIS", synopsis(command)],
    ["DESCRIPTION", (description.length > 0 ? description : [sentence(command.text)]).flatMap(paragraph)],
    [
      "COMMANDS",
      command.commands.flatMap((child) => tagged(`.BR ${quoted(pageName(child))} (1)`, prose(child.text))),
    ],
    ["ARGUMENTS", command.arguments.flatMap(argumentEntry)],
    ["OPTIONS", command.options.flatMap(optionEntry)],
    ["VALUES", spellingEntries(command.options.map(({ value }) => value?.name ?? ""))],
    ["COLUMNS", columns.flatMap(namedEntry)],
    ["REASONS", reasons.flatMap(namedEntry)],
    ["JSON", jsonEntries(command)],
    ["EXIT STATUS", exitStatus(command)],
    ["ENVIRONMENT", isProgram ? ENVIRONMENT.flatMap(namedEntry) : []],
    ["FILES", isProgram ? FILES.flatMap(namedEntry) : []],
    [
      "EXAMPLES",
      [...examples, ...unexecuted].flatMap(([text, line]) => [...paragraph(text), ...example(line)]),
    ],
    ["SEE ALSO", seeAlso(command, program)],
  ];
  const name = quoted(pageName(command).toUpperCase());
  return page([name, "1", quoted(date), quoted(`ffrtmp ${version}`), quoted("User Commands")], sections);
}

function synopsis({ words, arguments: args, commands, options }: CommandNode): string[] {
  const must = options.filter(({ mandatory }) => mandatory);
  const parts = [
    bold(words.join(" ")),
    ...must.map(({ long, value }) => `${bold(long)} ${italic(value?.name ?? "")}`),
    `[${italic("options")}]`,
    ...(commands.length > 0 ? [italic("command")] : []),
    ...args.map(({ name, required, variadic }) => {
      const term = `${italic(name)}${variadic ? "..." : ""}`;
      return required ? term : `[${term}]`;
    }),
  ];
  return [parts.join(" ")];
}

function argumentEntry({ name, text, choices }: ArgumentNode): string[] {
  return text === "" && choices.length === 0 ? [] : tagged(italic(name), prose(text));
}

function optionEntry({ short, long, value, text }: OptionNode): string[] {
  const names = [short, long].filter((name) => name !== undefined).map(bold);
  const behind =
    value === undefined
      ? ""
      : ` ${value.required ? "" : "["}${italic(value.name)}${value.required ? "" : "]"}`;
  return tagged(names.join(", ") + behind, prose(text));
}

function exitStatus(command: CommandNode): string[] {
  const kind = command.startsAnother ? "run" : command.words.at(-1) === "wait" ? "wait" : "others";
  return EXIT_CODES[kind].flatMap(namedEntry);
}

/** Names the documents that the command prints, with the keys of each. */
function jsonEntries({ words }: CommandNode): string[] {
  const objects = objectTexts((name) => name);
  return documentTexts((name) => name)
    .filter(({ command }) => command === words.slice(1).join(" "))
    .flatMap(({ commandLine, type }) => {
      const named = objects.filter(({ name }) => type.split(" ").includes(name));
      const keys = named.flatMap((object) =>
        object.keys.map(({ key }) => key).filter((key) => !key.includes(".")),
      );
      return tagged(
        bold(commandLine),
        inline(
          `Prints ${type}, which ffrtmp-json(5) describes: ${keys.map((key) => `\`${key}\``).join(", ")}.`,
        ),
      );
    });
}

function seeAlso(command: CommandNode, program: CommandNode): string[] {
  const family = command === program ? [] : flatten(program).filter((other) => other !== command);
  const pages: [name: string, section: string][] = family.map((other) => [pageName(other), "1"]);
  pages.push(["ffrtmp-json", "5"], ["ffrtmp-policy", "5"], ["cgroups", "7"]);
  return pages.map(([name, section], index) => {
    const comma = index === pages.length - 1 ? "" : ",";
    return `.BR ${quoted(name)} (${section})${comma}`;
  });
}

function pageName({ words }: CommandNode): string {
  return words.join("-");
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}${/[.)]$/.test(text) ? "" : "."}`;
}

function namedEntry([name, meaning]: [string, string]): string[] {
  return tagged(bold(name), prose(meaning));
}
