import { z } from "zod";
import { ValueFault } from "../../limits/units.ts";
import { compileNamePattern } from "../namePattern.ts";
import { compileDirectoryPattern, compilePathPattern, compilePattern, PatternFault } from "../pattern.ts";
import { compileTenant, TenantFault } from "../tenant.ts";

/** Single values of the file, each with a description for people and editors. */

/** The parameters that a fault of a value carries. */
export interface LeafParams {
  /** Describes a valid value. */
  right: string;
}

const words = z.string();
const numbers = z.number();

/** A text or a number that `parse` converts. `right` describes a valid value, for faults and the JSON Schema. */
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
  if (error instanceof PatternFault) return `is not a valid pattern: ${error.message}`;
  if (error instanceof TenantFault) return `is not a valid tenant: ${error.message}`;
  return undefined;
}

/** The item schemas of lists that may be written as their only item, for the JSON Schema. */
export const SHORT_LISTS = new Map<z.core.$ZodType, z.ZodType>();

/** A list of at least one item. A single item may be written without the list. */
export function oneOrMore<T extends z.ZodType>(item: T) {
  const right = "one value, or a list of at least one";
  const list = z.array(item, { error: right }).min(1, { error: right });
  const schema = z.preprocess((input) => (Array.isArray(input) ? input : [input]), list);
  SHORT_LISTS.set(schema, item);
  return schema;
}

/** A list that may be empty, or missing after its key. */
export function anyNumber<T extends z.ZodType>(item: T, right: string) {
  return z.array(item, { error: right }).nullish();
}

export const anyPattern = text("a name, or a pattern such as cust-*", compilePattern);
export const argumentPattern = text(
  'a pattern of the whole command line, such as "*rtmp://*"',
  compilePattern,
);
export const variablePattern = text('a value or a pattern; "*" for any', compilePattern);

const COMMAND = "the name of a command without its directory, such as ffmpeg, or a pattern such as ffmpeg*";
export const commandPattern = text(COMMAND, (name) => compileNamePattern(withoutDirectory(name)));

function withoutDirectory(name: string): string {
  if (name === "") throw new ValueFault("is empty");
  if (name.includes("/")) throw new ValueFault("contains a directory: to match a whole path, use exe");
  return name;
}

const PATH = "an absolute path, such as /opt/ffmpeg/bin/*; ** matches any number of directories";
export const pathPattern = text(PATH, compilePathPattern);

const DIRECTORY = "an absolute directory, such as /srv/live; includes everything below it";
export const directoryPattern = text(DIRECTORY, compileDirectoryPattern);

const CGROUP = "the path of a cgroup as in /proc/PID/cgroup, such as /system.slice/nginx.service";
export const cgroupPattern = text(CGROUP, compileDirectoryPattern);

const PRINCIPAL = "a name, a pattern such as cust-*, or a number";
export const principal = value(PRINCIPAL, (input) =>
  typeof input === "number" ? wholeId(input) : compilePattern(input),
);

const ID = "a whole number, such as 1001";
export const id = leaf(z.number({ error: ID }).meta({ description: "a user id" }), ID, wholeId);

function wholeId(input: number): number {
  if (!Number.isSafeInteger(input) || input < 0) throw new ValueFault("is not an id");
  return input;
}

const PARENT = "the command of an ancestor, such as nginx, or the PID of the parent";
export const parent = value(PARENT, (input) =>
  typeof input === "number" ? wholeId(input) : compileNamePattern(withoutDirectory(input)),
);

const TENANT = "a name, or one from the process: {user}, {group}, {container}, {cwd:2}, {env:NAME}";
export const tenant = text(TENANT, compileTenant);

const MAX_WORD_LENGTH = 128;
export const word = text(`text of 1 to ${MAX_WORD_LENGTH} characters on one line`, (input) => {
  if (input.trim() === "") throw new ValueFault("is empty");
  if (input.length > MAX_WORD_LENGTH) throw new ValueFault(`has ${input.length} characters`);
  if (/\p{Cc}/u.test(input)) throw new ValueFault("contains a control character");
  return input;
});
