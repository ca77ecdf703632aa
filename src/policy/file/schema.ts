import { z } from "zod";
import { parseDuration } from "../../limits/units.ts";
import { PLACEMENTS } from "../../linux/cgroup/placement.ts";
import { parseScanInterval, SCAN_INTERVAL } from "../scanInterval.ts";
import {
  anyNumber,
  anyPattern,
  argumentPattern,
  cgroupPattern,
  commandPattern,
  directoryPattern,
  id,
  oneOrMore,
  parent,
  pathPattern,
  principal,
  SHORT_LISTS,
  tenant,
  value,
  variablePattern,
  word,
  yesOrNo,
} from "./leaves.ts";
import { limitsSection, totalsSection } from "./limitsSchema.ts";

/** A process age. Empty, null and 0 mean none, because older policies are written so. */
const runtime = z.union([z.null(), value("a time such as 5s, 1m30s or 24h", toRuntime)]).optional();

function toRuntime(input: string | number): { ms: number; text: string } | null {
  const ms = input === "" ? 0 : parseDuration(String(input).trim());
  return ms === 0 ? null : { ms, text: String(input) };
}

const scanInterval = value(SCAN_INTERVAL, (input) => parseScanInterval(String(input).trim()));

const users = anyNumber(principal, "a list of users");
const uids = anyNumber(id, "a list of user ids");
const parents = anyNumber(parent, "a list of commands or PIDs");
const directories = anyNumber(directoryPattern, "a list of directories");

const filtersSection = z
  .strictObject({
    allowed_users: users.describe("govern only processes of these users"),
    blocked_users: users.describe("never govern processes of these users"),
    allowed_uids: uids.describe("the same as allowed_users, by number"),
    blocked_uids: uids.describe("the same as blocked_users, by number"),
    allowed_parents: parents.describe(
      "govern only processes started by one of these: a number is the PID of the parent, a name the command of any ancestor",
    ),
    blocked_parents: parents.describe("never govern processes started by one of these"),
    min_runtime: runtime.describe("govern a process only when it is at least this old"),
    max_runtime: runtime.describe("start to govern a process only while it is at most this old"),
    allowed_dirs: directories.describe("govern only processes whose working directory is under one of these"),
    blocked_dirs: directories.describe(
      "never govern processes whose working directory is under one of these",
    ),
  })
  .nullish();

const matchSection = z.strictObject(
  {
    command: oneOrMore(commandPattern)
      .optional()
      .describe(
        "the base name of the executable or of the first argument, or the kernel's name for the process",
      ),
    exe: oneOrMore(pathPattern).optional().describe("the path of the executable"),
    argv: oneOrMore(argumentPattern)
      .optional()
      .describe("the whole command line, its arguments joined by spaces (the first 32,768 characters)"),
    user: oneOrMore(principal).optional().describe("the effective user, from /etc/passwd"),
    group: oneOrMore(principal).optional().describe("the effective group, from /etc/group"),
    cwd: oneOrMore(directoryPattern).optional().describe("the working directory or a directory above it"),
    parent: oneOrMore(commandPattern).optional().describe("the command of any ancestor process"),
    cgroup: oneOrMore(cgroupPattern)
      .optional()
      .describe("one of its cgroups as in /proc/PID/cgroup, or a cgroup above one"),
    container: z
      .union([yesOrNo("true for any, false for none"), oneOrMore(anyPattern)])
      .optional()
      .describe("the container of the process: its id, or its name with LXC and systemd-nspawn"),
    env: z
      .record(z.string(), oneOrMore(variablePattern))
      .optional()
      .describe("environment variables, where they can be read: {TIER: gold}"),
  },
  { error: "conditions such as {user: acme}, or {} for all target commands" },
);

const rule = z.strictObject({
  name: word.describe("the unique name of the rule in explanations and messages"),
  match: matchSection.describe("the processes that the rule applies to; all conditions must be met"),
  ignore: yesOrNo("true or false")
    .optional()
    .describe("leave matching processes alone, and detach the ones that are governed"),
  limits: limitsSection.describe("limits that override those of commands and of default_limits"),
  tenant: tenant.optional().describe("the tenant whose total the job counts toward"),
  labels: z.record(z.string(), word).nullish().describe("texts by name, recorded with the result"),
  intent: word.optional().describe("the purpose of the job, recorded with the result"),
  placement: z
    .enum(PLACEMENTS, { error: "auto, in-place, nested or scope" })
    .meta({ description: "auto, in-place, nested or scope" })
    .optional()
    .describe("where to create the job's cgroup, as for ffrtmp attach"),
});

const commandSection = z
  .strictObject({
    limits: limitsSection.describe("limits that override those of default_limits"),
    filters: filtersSection.describe("filters, each in place of the global one of the same name"),
  })
  .nullish();

/** The whole file: the one definition for validation, faults, the JSON Schema and the manual. */
export const policySchema = z.strictObject({
  scan_interval: scanInterval.optional().describe("interval between full process scans"),
  target_commands: anyNumber(commandPattern, "a list of commands").describe(
    "commands to govern; ffmpeg and gst-launch-1.0 when empty or left out",
  ),
  default_limits: limitsSection.describe("limits of every job"),
  filters: filtersSection.describe("conditions for governing a process, whichever rule matches"),
  commands: z.record(z.string(), commandSection).nullish().describe("limits and filters of single commands"),
  rules: anyNumber(rule, "a list, each item beginning with - name:").describe(
    "decisions for matching processes; the first rule that matches decides",
  ),
  tenants: z
    .record(z.string(), totalsSection)
    .nullish()
    .describe('total limits by tenant; "*" is the total of each tenant that is not listed'),
});

export type PolicyWords = z.output<typeof policySchema>;
export type FiltersWords = NonNullable<PolicyWords["filters"]>;
export type RuleWords = NonNullable<PolicyWords["rules"]>[number];

/** Returns the definition as JSON Schema (draft 2020-12), for editors. */
export function toJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(policySchema, {
    io: "input",
    reused: "ref",
    override({ zodSchema, jsonSchema }) {
      const item = SHORT_LISTS.get(zodSchema);
      if (item === undefined) return;
      const { $schema: _, ...items } = z.toJSONSchema(item, { io: "input" });
      Object.assign(jsonSchema, { anyOf: [items, { type: "array", items, minItems: 1 }] });
    },
  });
  return { title: "ffrtmp policy", ...schema };
}

/** Returns the keys that are known at a path; none where any key is allowed. */
export function knownKeys(path: readonly PropertyKey[]): string[] {
  return shapesAt(path).flatMap((shape) => Object.keys(shape));
}

/** One key, described for people. */
export interface DescribedKey {
  key: string;
  /** The purpose of the key; `undefined` where the value explains it. */
  meaning: string | undefined;
  /** The valid values, as faults describe them; empty where more keys follow. */
  right: string[];
  must: boolean;
}

/** Returns the keys at a path, in the order of the definition. `""` stands for any key of a record. */
export function describeKeys(path: readonly PropertyKey[]): DescribedKey[] {
  return shapesAt(path).flatMap((shape) =>
    Object.entries(shape).map(([key, schema]): DescribedKey => {
      const meaning = (schema as z.ZodType).description;
      const right = new Set((meaning === undefined ? [schema] : wrapped(schema)).flatMap(leafTexts));
      return { key, meaning, right: [...right], must: !(schema as z.ZodType).safeParse(undefined).success };
    }),
  );
}

function shapesAt(path: readonly PropertyKey[]): z.core.$ZodShape[] {
  let candidates: z.core.$ZodType[] = [policySchema];
  for (const part of path) candidates = candidates.flatMap((schema) => childrenOf(schema, part));
  return candidates
    .flatMap(unwrap)
    .flatMap((schema) => (schema instanceof z.ZodObject ? [schema.shape] : []));
}

function childrenOf(schema: z.core.$ZodType, part: PropertyKey): z.core.$ZodType[] {
  return unwrap(schema).flatMap((inner): z.core.$ZodType[] => {
    if (inner instanceof z.ZodObject)
      return inner.shape[String(part)] ? [inner.shape[String(part)] as z.core.$ZodType] : [];
    if (inner instanceof z.ZodArray) return [inner.element];
    if (inner instanceof z.ZodRecord) return [inner.valueType];
    return [];
  });
}

function leafTexts(schema: z.core.$ZodType): string[] {
  const { description } = schema as z.ZodType;
  if (description !== undefined) return [description];
  if (SHORT_LISTS.has(schema)) return leafTexts(SHORT_LISTS.get(schema) as z.ZodType);
  if (schema instanceof z.ZodArray)
    return leafTexts(schema.element).map((each) => `a list, each item ${each}`);
  if (schema instanceof z.ZodRecord) return leafTexts(schema.valueType);
  return wrapped(schema).flatMap(leafTexts);
}

/** Returns the schemas inside `optional`, `nullable`, unions and transformations. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType[] {
  const inner = wrapped(schema);
  return inner.length === 0 ? [schema] : inner.flatMap(unwrap);
}

function wrapped(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return [schema.unwrap()];
  if (schema instanceof z.ZodUnion) return schema.options;
  if (schema instanceof z.ZodPipe) return [schema.in, schema.out];
  return [];
}
