import { z } from "zod";
import { PLACEMENTS } from "../../kernel/cgroup/placement.ts";
import { SCAN_INTERVAL } from "../limitValues.ts";
import { parseDuration, parseScanInterval } from "../values.ts";
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

const filtersSection = z
  .strictObject({
    allowed_users: anyNumber(principal, "a list of users"),
    blocked_users: anyNumber(principal, "a list of users"),
    allowed_uids: anyNumber(id, "a list of user ids"),
    blocked_uids: anyNumber(id, "a list of user ids"),
    allowed_parents: anyNumber(parent, "a list of commands or PIDs"),
    blocked_parents: anyNumber(parent, "a list of commands or PIDs"),
    min_runtime: runtime,
    max_runtime: runtime,
    allowed_dirs: anyNumber(directoryPattern, "a list of directories"),
    blocked_dirs: anyNumber(directoryPattern, "a list of directories"),
  })
  .nullish();

const matchSection = z.strictObject(
  {
    command: oneOrMore(commandPattern).optional(),
    exe: oneOrMore(pathPattern).optional(),
    argv: oneOrMore(argumentPattern).optional(),
    user: oneOrMore(principal).optional(),
    group: oneOrMore(principal).optional(),
    cwd: oneOrMore(directoryPattern).optional(),
    parent: oneOrMore(commandPattern).optional(),
    cgroup: oneOrMore(cgroupPattern).optional(),
    container: z.union([yesOrNo("true for any, false for none"), oneOrMore(anyPattern)]).optional(),
    env: z.record(z.string(), oneOrMore(variablePattern)).optional(),
  },
  { error: "which processes it speaks of, such as {user: acme}; {} for all target commands" },
);

const rule = z.strictObject({
  name: word,
  match: matchSection,
  ignore: yesOrNo("true or false").optional(),
  limits: limitsSection,
  tenant: tenant.optional(),
  labels: z.record(z.string(), word).nullish(),
  intent: word.optional(),
  placement: z
    .enum(PLACEMENTS, { error: "auto, in-place, nested or scope" })
    .meta({ description: "where the job's cgroup is to lie" })
    .optional(),
});

const commandSection = z.strictObject({ limits: limitsSection, filters: filtersSection }).nullish();

/** The whole file. What it accepts, faults say and editors are told comes from here. */
export const policySchema = z.strictObject({
  scan_interval: scanInterval.optional(),
  target_commands: anyNumber(commandPattern, "a list of commands"),
  default_limits: limitsSection,
  filters: filtersSection,
  commands: z.record(z.string(), commandSection).nullish(),
  rules: anyNumber(rule, "a list, each item beginning with - name:"),
  tenants: z.record(z.string(), totalsSection).nullish(),
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
  let candidates: z.core.$ZodType[] = [policySchema];
  for (const part of path) candidates = candidates.flatMap((schema) => childrenOf(schema, part));
  return candidates
    .flatMap(unwrap)
    .flatMap((schema) => (schema instanceof z.ZodObject ? Object.keys(schema.shape) : []));
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

/** What stands behind `optional`, `nullable`, unions and transformations. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return unwrap(schema.unwrap());
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(unwrap);
  if (schema instanceof z.ZodPipe) return [...unwrap(schema.in), ...unwrap(schema.out)];
  return [schema];
}
