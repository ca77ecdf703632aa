import { z } from "zod";
import { ValueFault } from "../../limits/units.ts";
import { compileNamePattern } from "../namePattern.ts";
import { compileDirectoryPattern, compilePathPattern, compilePattern, PatternFault } from "../pattern.ts";
import { compileTenant, TenantFault } from "../tenant.ts";

/** Single values of the file, each with what it is for people and for editors. */

/** What a fault of a value carries to say what would be right. */
export interface LeafParams {
  right: string;
}

const words = z.string();
const numbers = z.number();

/** A text or a number that `parse` makes something of. `right` says what it must be, for faults and in the JSON Schema. */
export function value<T>(right: string, parse: (value: string | number) => T) {
  return leaf(z.union([numbers, words], { error: right }).meta({ description: right }), right, parse);
}

export function text<T>(right: string, parse: (value: string) => T) {
  return leaf(z.string({ error: right }).meta({ description: right }), right, parse);
}

export function yesOrNo(right: string) {
  return z.boolean({ error: right }).meta({ description: right });
}

function leaf<I, T>(schema: z.ZodType<I>, right: string, parse: (value: I) => T) {
  return schema.transform((input, context): T => {
    try {
      return parse(input);
    } catch (error) {
      const message = messageOf(error);
      if (message === undefined) throw error;
      context.addIssue({ code: "custom", message, params: { right } satisfies LeafParams });
      return z.NEVER;
    }
  });
}

function messageOf(error: unknown): string | undefined {
  if (error instanceof ValueFault) return error.message;
  if (error instanceof PatternFault) return `does not do as a pattern: ${error.message}`;
  if (error instanceof TenantFault) return `does not do as a tenant: ${error.message}`;
  return undefined;
}

/** For the JSON Schema: the lists that may be written as their only item. */
export const SHORT_LISTS = new Map<z.core.$ZodType, z.ZodType>();

/** A list of at least one, which may be written as a single item. */
export function oneOrMore<T extends z.ZodType>(item: T) {
  const right = "one, or a list of at least one";
  const list = z.array(item, { error: right }).min(1, { error: right });
  const schema = z.preprocess((input) => (Array.isArray(input) ? input : [input]), list);
  SHORT_LISTS.set(schema, item);
  return schema;
}

/** A list that may be empty, or left out after its key. */
export function anyNumber<T extends z.ZodType>(item: T, right: string) {
  return z.array(item, { error: right }).nullish();
}

export const anyPattern = text("a name, or a pattern such as cust-*", compilePattern);
export const argumentPattern = text(
  'a pattern of the whole command line, such as "*rtmp://*"',
  compilePattern,
);
export const variablePattern = text('a value or a pattern of it; "*" for any', compilePattern);

const COMMAND = "the name of a command without its directory, such as ffmpeg, or a pattern such as ffmpeg*";
export const commandPattern = text(COMMAND, (name) => compileNamePattern(withoutDirectory(name)));

function withoutDirectory(name: string): string {
  if (name === "") throw new ValueFault("is empty");
  if (name.includes("/")) throw new ValueFault("has a directory in it: a whole path is what exe is for");
  return name;
}

const PATH = "an absolute path, such as /opt/ffmpeg/bin/*; ** stands for any directories between";
export const pathPattern = text(PATH, compilePathPattern);

const DIRECTORY = "an absolute directory, such as /srv/live; what lies below it belongs to it";
export const directoryPattern = text(DIRECTORY, compileDirectoryPattern);

const CGROUP = "the path of a cgroup as in /proc/PID/cgroup, such as /system.slice/nginx.service";
export const cgroupPattern = text(CGROUP, compileDirectoryPattern);

const PRINCIPAL = "a name, a pattern such as cust-*, or a number";
export const principal = value(PRINCIPAL, (input) =>
  typeof input === "number" ? wholeId(input) : compilePattern(input),
);

export const id = z
  .number({ error: "a whole number, such as 1001" })
  .meta({ description: "a user id" })
  .transform((input, context) => {
    if (Number.isSafeInteger(input) && input >= 0) return input;
    const params: LeafParams = { right: "a whole number, such as 1001" };
    context.addIssue({ code: "custom", message: "is no id", params });
    return z.NEVER;
  });

function wholeId(input: number): number {
  if (!Number.isSafeInteger(input) || input < 0) throw new ValueFault("is no id");
  return input;
}

const PARENT = "a command that it was started by, such as nginx, or the PID of its parent";
export const parent = value(PARENT, (input) =>
  typeof input === "number" ? wholeId(input) : compileNamePattern(withoutDirectory(input)),
);

const TENANT = "a name, or one taken from the process: {user}, {group}, {container}, {cwd:2}, {env:NAME}";
export const tenant = text(TENANT, compileTenant);

const LONGEST_WORD = 128;
export const word = text(`a text of 1 to ${LONGEST_WORD} characters in one line`, (input) => {
  if (input.trim() === "") throw new ValueFault("is empty");
  if (input.length > LONGEST_WORD) throw new ValueFault(`has ${input.length} characters`);
  if (/\p{Cc}/u.test(input)) throw new ValueFault("holds a control character");
  return input;
});
