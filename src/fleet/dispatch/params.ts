import { z } from "zod";
import { ValueFault } from "../../limits/units.ts";
import { checked, text } from "../../policy/file/leaves.ts";
import { checkPath } from "./pathParam.ts";
import { checkUrl, isHostRule, SCHEMES } from "./urlParam.ts";

/** The names of parameters that every template has: the id of the job and the number of its attempt. */
export const BUILT_IN = ["job", "attempt"] as const;

export const PARAM_NAME = /^[a-z][a-z0-9_]{0,31}$/;

const MAX_TEXT_LENGTH = 1024;
const MAX_VALUES = 1000;

const SCHEME = `one of ${Object.keys(SCHEMES).join(", ")}`;
const HOST =
  'a host in lower case, an address, "*.media.example" for each name below it, or "*" for each name';
const DIRECTORY = "an absolute path of a directory, without . and ..";
const SUFFIX = "the end of a file name, such as .mp4";
const VALUE = `text of 1 to ${MAX_TEXT_LENGTH} characters on one line that does not begin with -`;
const INSERT = 'a part of a file name with {job} or {attempt}, such as ".{job}.{attempt}"';
const PATTERN = "a regular expression that the whole text matches, such as [A-Za-z0-9 ]{1,40}";

const scheme = text(SCHEME, (input) => {
  if (!Object.hasOwn(SCHEMES, input)) throw new ValueFault("is not the scheme of a URL with a host");
  return input;
});
const host = text(HOST, (input) => {
  if (!isHostRule(input)) throw new ValueFault("is not a host");
  return input;
});
const directory = text(DIRECTORY, (input) => {
  if (!/^(?:\/[^/\0\n]+)+$/.test(input) || /\/\.\.?(?=\/|$)/.test(input))
    throw new ValueFault("is not a directory below /");
  return input;
});
const suffix = text(SUFFIX, (input) => {
  if (!/^[A-Za-z0-9._-]{1,32}$/.test(input)) throw new ValueFault("is not the end of a file name");
  return input;
});
const insert = text(INSERT, (input) => {
  const literal = input.replaceAll(/\{(?:job|attempt)\}/g, "");
  if (!/^[A-Za-z0-9._-]{0,32}$/.test(literal)) throw new ValueFault("is not a part of a file name");
  return input;
});
const enumValue = text(VALUE, (input) => {
  checkText(input);
  return input;
});
const pattern = text(PATTERN, (input) => {
  try {
    // Alone first: with the rest around it, `a)|(?:b` would be one that matches a part of a text.
    new RegExp(input, "u");
    return new RegExp(`^(?:${input})$`, "u");
  } catch {
    throw new ValueFault("is not a regular expression");
  }
});

const finite = z.number({ error: "a number" });

const url = z.strictObject({
  type: z.literal("url"),
  schemes: z.array(scheme, { error: "a list of schemes" }).min(1, { error: "at least one scheme" }),
  hosts: z.array(host, { error: "a list of hosts" }).min(1, { error: "at least one host" }),
  ports: z.array(z.number().int().min(1).max(65_535), { error: "a list of ports" }).default([]),
});
const path = z.strictObject({
  type: z.literal("path"),
  under: directory,
  suffix: z.array(suffix, { error: "a list of ends of file names" }).default([]),
  exists: z.boolean({ error: "true or false" }).optional(),
  insert: insert.default(""),
});
const number = z.strictObject({
  type: z.literal("number"),
  min: finite,
  max: finite,
  whole: z.boolean({ error: "true or false" }).default(false),
});
const choice = z.strictObject({
  type: z.literal("enum"),
  values: z.array(enumValue, { error: "a list of texts" }).min(1).max(MAX_VALUES),
});
const free = z.strictObject({ type: z.literal("text"), pattern });

const TYPE = "url, path, number, enum or text";

export const paramSchema = checked(
  z.discriminatedUnion("type", [url, path, number, choice, free], { error: `a mapping with type: ${TYPE}` }),
  (section, report) => {
    const { type, min, max } = section as { type?: unknown; min?: unknown; max?: unknown };
    if (type === "number" && typeof min === "number" && typeof max === "number" && min > max)
      report(["max"], "is less than min", `${min} or more`, "value");
  },
);

export type Param = z.output<typeof paramSchema>;

/** A whole number up to 10^15 has no exponent in its text. */
const MAX_NUMBER = 1e15;

/** Returns the text of a value that a parameter allows. Throws ValueFault. `builtIn` fills the names of files. */
export function checkParam(param: Param, value: string | number, builtIn: (text: string) => string): string {
  if (param.type === "number") return checkNumber(value, param);
  if (typeof value !== "string") throw new ValueFault("is a number, not a text");
  switch (param.type) {
    case "url":
      return checkUrl(value, param);
    case "path":
      return checkPath(value, { ...param, exists: param.exists, insert: builtIn(param.insert) });
    case "enum":
      if (!param.values.includes(value)) throw new ValueFault(`is not one of ${param.values.join(", ")}`);
      return value;
    case "text":
      checkText(value);
      if (!param.pattern.test(value)) throw new ValueFault("does not match the pattern of the template");
      return value;
  }
}

function checkNumber(
  value: string | number,
  { min, max, whole }: { min: number; max: number; whole: boolean },
): string {
  const given = String(value);
  if (!/^-?\d{1,16}(?:\.\d{1,9})?$/.test(given)) throw new ValueFault("is not a plain decimal number");
  const parsed = Number(given);
  if (whole && !/^-?\d+$/.test(given)) throw new ValueFault("is not a whole number");
  if (!(parsed >= min && parsed <= max) || Math.abs(parsed) > MAX_NUMBER)
    throw new ValueFault(`is not between ${min} and ${max}`);
  return given;
}

/** Throws a ValueFault for a text that a program could take for an option, or for more than one line. */
function checkText(input: string): void {
  if (input === "" || input.length > MAX_TEXT_LENGTH)
    throw new ValueFault(`has ${input.length} characters, and 1 to ${MAX_TEXT_LENGTH} are allowed`);
  if (input.startsWith("-")) throw new ValueFault("begins with -, as an option");
  if (!input.isWellFormed() || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(input))
    throw new ValueFault("contains a control character");
}
