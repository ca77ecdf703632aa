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

/** A runtime; empty, null and 0 mean that there is none, as in the older system. */
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
    allowed_users: users.describe("users whose processes alone are governed"),
    blocked_users: users.describe("users whose processes are left alone"),
    allowed_uids: uids.describe("the same as allowed_users, by numbers"),
    blocked_uids: uids.describe("the same as blocked_users, by numbers"),
    allowed_parents: parents.describe(
      "who alone may have started a process: a number is its parent's PID, a name any command that it was started by, directly or not",
    ),
    blocked_parents: parents.describe("those by whom it may not have been started"),
    min_runtime: runtime.describe("how old a process must be to be taken up"),
    max_runtime: runtime.describe("how old it may be when it is taken up"),
    allowed_dirs: directories.describe("where alone its working directory may lie"),
    blocked_dirs: directories.describe("where its working directory may not lie"),
  })
  .nullish();

const matchSection = z.strictObject(
  {
    command: oneOrMore(commandPattern)
      .optional()
      .describe(
        "the base name of the executable, of the first argument, and the kernel's name for the process",
      ),
    exe: oneOrMore(pathPattern).optional().describe("the path of the executable"),
    argv: oneOrMore(argumentPattern)
      .optional()
      .describe("the whole command line, its arguments joined by blanks (the first 32,768 characters)"),
    user: oneOrMore(principal).optional().describe("the effective user, by /etc/passwd"),
    group: oneOrMore(principal).optional().describe("the effective group, by /etc/group"),
    cwd: oneOrMore(directoryPattern).optional().describe("the working directory and those above it"),
    parent: oneOrMore(commandPattern)
      .optional()
      .describe("the command of any process that it was started by, directly or not"),
    cgroup: oneOrMore(cgroupPattern)
      .optional()
      .describe("its cgroups, as in /proc/PID/cgroup, and those above them"),
    container: z
      .union([yesOrNo("true for any, false for none"), oneOrMore(anyPattern)])
      .optional()
      .describe("the container that it is in: its id, or its name with LXC and systemd-nspawn"),
    env: z
      .record(z.string(), oneOrMore(variablePattern))
      .optional()
      .describe("environment variables, where they may be read: {TIER: gold}"),
  },
  { error: "which processes it speaks of, such as {user: acme}; {} for all target commands" },
);

const rule = z.strictObject({
  name: word.describe("what explanations and messages call it; no two rules have the same"),
  match: matchSection.describe("which processes it speaks of; all that stands here must hold"),
  ignore: yesOrNo("true or false")
    .optional()
    .describe("whether the process is left alone, and released where it is governed"),
  limits: limitsSection.describe("limits that go before those of commands and of default_limits"),
  tenant: tenant.optional().describe("on whose account the job goes"),
  labels: z.record(z.string(), word).nullish().describe("words by name, kept with the result"),
  intent: word.optional().describe("what the job is for, kept with the result"),
  placement: z
    .enum(PLACEMENTS, { error: "auto, in-place, nested or scope" })
    .meta({ description: "auto, in-place, nested or scope" })
    .optional()
    .describe("where the job's cgroup is to lie, as for ffrtmp attach"),
});

const commandSection = z
  .strictObject({
    limits: limitsSection.describe("limits that go before those of default_limits"),
    filters: filtersSection.describe("filters that replace the global ones of their names"),
  })
  .nullish();

/** The whole file. What it accepts, faults say, editors are told and the manual holds comes from here. */
export const policySchema = z.strictObject({
  scan_interval: scanInterval.optional().describe("the time between two looks at all processes"),
  target_commands: anyNumber(commandPattern, "a list of commands").describe(
    "commands to govern; ffmpeg and gst-launch-1.0 when it is empty or left out",
  ),
  default_limits: limitsSection.describe("limits of every job"),
  filters: filtersSection.describe("what must let a process pass, whichever rule it was"),
  commands: z.record(z.string(), commandSection).nullish().describe("limits and filters of single commands"),
  rules: anyNumber(rule, "a list, each item beginning with - name:").describe(
    "what becomes of which processes; the first rule that matches decides",
  ),
  tenants: z
    .record(z.string(), totalsSection)
    .nullish()
    .describe('totals, by tenant; "*" is the total of each tenant that is not named'),
});

export type PolicyWords = z.output<typeof policySchema>;
export type FiltersWords = NonNullable<PolicyWords["filters"]>;
export type RuleWords = NonNullable<PolicyWords["rules"]>[number];

/** The same as JSON Schema (draft 2020-12), for editors. */
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

/** The keys that are known at a path; empty where any key is. */
export function knownKeys(path: readonly PropertyKey[]): string[] {
  return shapesAt(path).flatMap((shape) => Object.keys(shape));
}

/** One key as a person is told of it. */
export interface DescribedKey {
  key: string;
  /** What it is for; `undefined` where its value says so. */
  meaning: string | undefined;
  /** What may stand there, each in the words of its faults; empty where more keys follow. */
  right: string[];
  must: boolean;
}

/** The keys at a path, in the order of the definition. Of what may have any key, `""` leads to its values. */
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

/** What stands behind `optional`, `nullable`, unions and transformations. */
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
