import { z } from "zod";
import { LIMITS, type LimitKey } from "../../limits/table.ts";
import { ValueFault } from "../../limits/units.ts";
import { checked, type Report, text } from "../../policy/file/leaves.ts";
import { faultInTenant } from "../../policy/tenant.ts";
import { WORD as JOB_WORD, parseWord as parseJobWord } from "../../policy/word.ts";
import { isNodeName } from "../nodeConfig.ts";
import { BUILT_IN, PARAM_NAME, type Param, paramSchema } from "./params.ts";
import { templateFile } from "./templateFiles.ts";
import { type ParsedYaml, parseYaml, readTrustedYaml } from "./yamlFile.ts";

/** A part of an argument: literal text, or the value of a parameter. */
export type WordPart = { readonly literal: string } | { readonly param: string };

/** One argument. No parameter becomes two, and none is missing. */
export type Word = readonly WordPart[];

/** The command that a job may execute, with the values that it may give. */
export interface Template {
  readonly command: readonly Word[];
  readonly params: Readonly<Record<string, Param>>;
  /** Options of `ffrtmp run` for limits and the description of the job, such as `--cpu-quota=400`. */
  readonly options: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
}

const MAX_WORDS = 1000;
const MAX_WORD = 32_768;

const WORD = "text on one line, where {name} is the value of a parameter, and {{ and }} are braces";
const COMMAND = "a list of a program and its arguments";
const DIRECTORY = "an absolute path of a directory";

/** Programs that execute one of their arguments: a value in it would be a part of a program. */
const SHELLS = new Set(["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "csh", "tcsh", "busybox"]);

const word = text(WORD, (input): Word => {
  if (input.length > MAX_WORD) throw new ValueFault(`has more than ${MAX_WORD} characters`);
  if (!input.isWellFormed() || /[\0\n\r]/.test(input)) throw new ValueFault("is not text on one line");
  return parseWord(input);
});

const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const envValue = text("text on one line", (input) => {
  if (input.length > MAX_WORD || /[\0\n\r]/.test(input)) throw new ValueFault("is not text on one line");
  return input;
});

const workdir = text(DIRECTORY, (input) => {
  if (!input.startsWith("/") || /[\0\n]/.test(input)) throw new ValueFault("is not an absolute path");
  return input;
});

const limitValue = z.union([z.string(), z.number()], { error: "a value as in a policy" });

const file = z.strictObject({
  command: z
    .array(word, { error: COMMAND })
    .min(1, { error: COMMAND })
    .max(MAX_WORDS, { error: `at most ${MAX_WORDS} arguments` }),
  params: z.record(z.string(), paramSchema, { error: "a mapping of parameters" }).default({}),
  limits: z
    .record(z.string(), z.union([limitValue, z.array(limitValue)]), { error: "a mapping of limits" })
    .default({}),
  env: z.record(z.string(), envValue, { error: "a mapping of variables" }).default({}),
  workdir: workdir.default("/"),
  sla_eligible: z.boolean({ error: "true or false" }).default(false),
  intent: text(JOB_WORD, parseJobWord).optional(),
  tenant: text(JOB_WORD, parseTenant).optional(),
});

const templateSchema = checked(file, checkTemplate).transform(
  ({ command, params, env, workdir: directory, ...rest }): Template => ({
    ...{ command, params, env, workdir: directory },
    options: optionsOf(rest),
  }),
);

/** Reads the text of a template, as of one that an operator has signed. */
export function parseTemplate(yaml: string): ParsedYaml<Template> {
  return parseYaml(yaml, templateSchema);
}

/**
 * Reads a template of this machine; `undefined`: it has none of this name. Throws a Refusal where it cannot be used, or where a
 * user other than root can change it.
 */
export function readTemplate(name: string, directory: string): Template | undefined {
  // A name with a slash would be a file elsewhere.
  if (!isNodeName(name)) return undefined;
  return readTemplateFile(templateFile(directory, name));
}

function readTemplateFile(path: string): Template | undefined {
  return readTrustedYaml(path, templateSchema, "correct it; ffrtmp fleet template check FILE reads it alone");
}

/** `scale=-2:{height}` is the literal `scale=-2:` and the parameter `height`. Throws ValueFault. */
function parseWord(input: string): Word {
  const parts: WordPart[] = [];
  for (const [token] of input.matchAll(/\{\{|\}\}|\{[^{}]*\}|[^{}]+|[{}]/g)) {
    const name = /^\{(.+)\}$/.exec(token)?.[1];
    const last = parts.at(-1);
    if (name !== undefined && token !== "{{" && token !== "}}") {
      if (!PARAM_NAME.test(name)) throw new ValueFault(`contains {${name}}, which cannot be a parameter`);
      parts.push({ param: name });
      continue;
    }
    if (token === "{" || token === "}" || token === "{}")
      throw new ValueFault("contains a brace that belongs to no parameter");
    const literal = token === "{{" || token === "}}" ? token.slice(1) : token;
    if (last !== undefined && "literal" in last)
      parts[parts.length - 1] = { literal: last.literal + literal };
    else parts.push({ literal });
  }
  return parts.length === 0 ? [{ literal: "" }] : parts;
}

function checkTemplate(section: object, report: Report): void {
  const { command, params, limits, env } = section as Partial<z.output<typeof file>>;
  checkNames(params, env, report);
  checkLimits(limits, report);
  // Where a word is faulty, the list has no words yet.
  if (!Array.isArray(command) || !command.every((each) => Array.isArray(each))) return;
  checkProgram(command[0] ?? [], report);
  const used = new Set<string>();
  for (const [index, parts] of command.entries()) {
    for (const part of parts) if ("param" in part) used.add(part.param);
    checkWord(parts, params ?? {}, (message, right) => report(["command", index], message, right, "value"));
  }
  for (const name of Object.keys(params ?? {}))
    if (!used.has(name)) report(["params", name], "is in no argument", `{${name}} in the command`);
}

function checkNames(params: object | undefined, env: object | undefined, report: Report): void {
  for (const name of Object.keys(params ?? {})) {
    if (!PARAM_NAME.test(name))
      report(
        ["params", name],
        "cannot be the name of a parameter",
        "a lower case letter, then letters, digits, _",
      );
    if ((BUILT_IN as readonly string[]).includes(name))
      report(["params", name], "has a value already", "another name");
  }
  for (const name of Object.keys(env ?? {}))
    if (!ENV_NAME.test(name) || name.startsWith("FFRTMP_"))
      report(["env", name], "cannot be set here", "the name of a variable that does not begin with FFRTMP_");
}

function checkProgram(program: Word, report: Report): void {
  const [first] = program;
  const name = first !== undefined && "literal" in first && program.length === 1 ? first.literal : undefined;
  if (name === undefined || name === "" || name.startsWith("-"))
    report(
      ["command", 0],
      "is not the name of a program",
      "a name in PATH, or a path; no parameter",
      "value",
    );
  else if (SHELLS.has(name.split("/").at(-1) ?? ""))
    report(["command", 0], "is a shell", "an executable file, such as a script of root's", "value");
}

function checkWord(
  parts: Word,
  params: Readonly<Record<string, Param>>,
  report: (message: string, right: string) => void,
): void {
  const [first] = parts;
  const names = parts.flatMap((part) => ("param" in part ? [part.param] : []));
  if (names.length === 0) return;
  if (first !== undefined && "literal" in first && first.literal.startsWith("-"))
    report("is an option with a parameter in it", "the option and its value as two arguments");
  for (const name of names) {
    if ((BUILT_IN as readonly string[]).includes(name)) continue;
    const param = Object.hasOwn(params, name) ? params[name] : undefined;
    if (param === undefined) report(`contains {${name}}, and there is no such parameter`, "a name of params");
    else if ((param.type === "url" || param.type === "path") && parts.length > 1)
      report(`contains {${name}}, which is a ${param.type}`, `"{${name}}" as an argument of its own`);
  }
}

function keyOf(name: string): LimitKey<unknown> | undefined {
  for (const { keys } of Object.values(LIMITS))
    if (Object.hasOwn(keys, name)) return (keys as Record<string, LimitKey<unknown>>)[name];
  return undefined;
}

function checkLimits(limits: Record<string, unknown> | undefined, report: Report): void {
  for (const [name, value] of Object.entries(limits ?? {})) {
    const key = keyOf(name);
    if (key === undefined) report(["limits", name], "is not a limit", "a key of the limits of a policy");
    for (const given of [value].flat()) {
      try {
        key?.parse(String(given).trim());
      } catch (error) {
        if (!(error instanceof ValueFault)) throw error;
        report(["limits", name], error.message, key?.expected ?? "", "value");
      }
    }
  }
}

function optionsOf({
  limits,
  sla_eligible: isEligible,
  intent,
  tenant,
}: Pick<z.output<typeof file>, "limits" | "sla_eligible" | "intent" | "tenant">): string[] {
  const ofLimits = Object.entries(limits).flatMap(([name, value]) =>
    [value].flat().map((given) => `--${name.replaceAll("_", "-")}=${String(given).trim()}`),
  );
  return [
    ...ofLimits,
    ...(isEligible ? ["--sla-eligible"] : []),
    ...(intent === undefined ? [] : [`--intent=${intent}`]),
    ...(tenant === undefined ? [] : [`--tenant=${tenant}`]),
  ];
}

function parseTenant(input: string): string {
  const fault = faultInTenant(input);
  if (fault !== undefined) throw new ValueFault(`is not the name of a tenant: ${fault}`);
  return input;
}
