import { type ArgumentNode, type CommandNode, flatten, type OptionNode } from "./commandTree.ts";
import { ENVIRONMENT, EXIT_CODES, FILES, MAN_TEXTS } from "./manText.ts";

export interface ManPage {
  /** `ffrtmp-policy-check.1` */
  name: string;
  text: string;
}

export interface ManRelease {
  version: string;
  /** `2026-11-24` */
  date: string;
}

/** One page for each command, in the macros of man(7). */
export function manPages(program: CommandNode, release: ManRelease): ManPage[] {
  const commands = flatten(program);
  const unknown = Object.keys(MAN_TEXTS).filter(
    (words) => !commands.some((command) => command.words.join(" ") === words),
  );
  if (unknown.length > 0) throw new Error(`manText.ts speaks of commands that are not there: ${unknown}`);
  return commands.map((command) => ({
    name: `${pageName(command)}.1`,
    text: manPage(command, program, release),
  }));
}

function manPage(command: CommandNode, program: CommandNode, { version, date }: ManRelease): string {
  const isProgram = command === program;
  const { description, examples } = MAN_TEXTS[command.words.join(" ")] ?? { description: [], examples: [] };
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
    ["EXIT STATUS", exitStatus(command)],
    ["ENVIRONMENT", isProgram ? ENVIRONMENT.flatMap(namedEntry) : []],
    ["FILES", isProgram ? FILES.flatMap(namedEntry) : []],
    [
      "EXAMPLES",
      examples.flatMap(([text, line]) => [
        ...paragraph(text),
        ".PP",
        ".RS 4",
        ".EX",
        literal(line),
        ".EE",
        ".RE",
      ]),
    ],
    ["SEE ALSO", seeAlso(command, program)],
  ];
  const title = `.TH ${quoted(pageName(command).toUpperCase())} 1 ${quoted(date)} ${quoted(`ffrtmp ${version}`)} "User Commands"`;
  const body = sections
    .filter(([, lines]) => lines.length > 0)
    .flatMap(([heading, lines]) => [`.SH ${quoted(heading)}`, ...withoutLeadingBreak(lines)]);
  return `.\\" Made from the command definitions of ffrtmp.\n${[title, ...body].join("\n")}\n`;
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
  const codes = command.startsAnother ? EXIT_CODES.run : EXIT_CODES.others;
  return codes.flatMap(namedEntry);
}

function seeAlso(command: CommandNode, program: CommandNode): string[] {
  const family = command === program ? [] : flatten(program).filter((other) => other !== command);
  const pages = [...family.map((other) => [pageName(other), "1"] as const), ["cgroups", "7"] as const];
  return pages.map(([name, section], index) => {
    const comma = index === pages.length - 1 ? "" : ",";
    return `.BR ${quoted(name)} (${section})${comma}`;
  });
}

function namedEntry([name, meaning]: [string, string]): string[] {
  return tagged(bold(name), prose(meaning));
}

function tagged(term: string, text: string): string[] {
  return [".TP", term, text];
}

function paragraph(text: string): string[] {
  return [".PP", prose(text)];
}

/** A heading begins a paragraph by itself; groff complains of a second one. */
function withoutLeadingBreak(lines: string[]): string[] {
  return lines[0] === ".PP" ? lines.slice(1) : lines;
}

function pageName({ words }: CommandNode): string {
  return words.join("-");
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}${/[.)]$/.test(text) ? "" : "."}`;
}

function bold(text: string): string {
  return `\\fB${literal(text)}\\fR`;
}

function italic(text: string): string {
  return `\\fI${literal(text)}\\fR`;
}

/** What is typed as it stands: a plain hyphen would be set as a typographic one, and could not be copied. */
function literal(text: string): string {
  return line(text.replaceAll("\\", "\\e").replaceAll("-", "\\-"));
}

/** Prose, in which only options are typed as they stand. */
function prose(text: string): string {
  const options = /(?<=^|[\s"(])--?[a-z][\w-]*/g;
  return line(text.replaceAll("\\", "\\e").replaceAll(options, (option) => option.replaceAll("-", "\\-")));
}

/** What begins a line must not be taken for a request. */
function line(text: string): string {
  return /^[.']/.test(text) ? `\\&${text}` : text;
}

/** An argument of a macro. */
function quoted(text: string): string {
  return `"${prose(text).replaceAll('"', "\\(dq")}"`;
}
