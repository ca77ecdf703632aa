import { z } from "zod";
import { INTENT, INTENTS, type Intent, isIntent } from "../../limits/intents.ts";
import { LIMITS, type LimitKey } from "../../limits/table.ts";
import { ValueFault } from "../../limits/units.ts";
import { PLACEMENTS } from "../../linux/cgroup/placement.ts";
import { HOOK_FILE, HOOK_TIMEOUT, parseHookFile, parseHookTimeout } from "../endHook.ts";
import { GOVERNOR_MODES, HEADROOM, parseHeadroom } from "../governor.ts";
import { MAX_AGE, MAX_SIZE, parseMaxAge, parseMaxSize } from "../retentionValues.ts";
import { parseScanInterval, SCAN_INTERVAL } from "../scanInterval.ts";
import { compileTenant, faultInTenant } from "../tenant.ts";
import { parseWord, WORD } from "../word.ts";
import { commandPattern, filtersSection, matchSection } from "./conditionKeys.ts";
import { anyNumber, checked, type Report, text, value, yesOrNo } from "./leaves.ts";
import { limitsSection, totalsSection } from "./limitsSchema.ts";
import { nearest } from "./nearest.ts";

const word = text(WORD, parseWord);

const TENANT = "a name, or one from the process: {user}, {group}, {container}, {cwd:2}, {env:NAME}";
const tenant = text(TENANT, compileTenant);

const limits = checked(limitsSection, checkLimits);
const totals = checked(totalsSection, checkLimits);

function checkLimits(section: object, report: Report): void {
  const given = Object.entries(section).flatMap(([key, limit]) => (limit === null ? [] : [key]));
  for (const { keys } of Object.values(LIMITS)) {
    const [first, ...others] = Object.keys(keys).filter((key) => given.includes(key));
    for (const key of others) report([key], `sets the same limit as ${first}`, "one of the two");
    for (const [key, { replaces }] of Object.entries<LimitKey<unknown>>(keys)) {
      if (!given.includes(key) || replaces === undefined || !given.includes(replaces)) continue;
      report([key], `takes the place of ${replaces}`, "one of the two");
    }
  }
}

const rule = z.strictObject({
  name: word.describe("the unique name of the rule in explanations and messages"),
  match: matchSection.describe("the processes that the rule applies to; all conditions must be met"),
  ignore: yesOrNo("true or false")
    .optional()
    .describe("leave matching processes alone, and detach the ones that are governed"),
  limits: limits.describe("limits that override those of commands and of default_limits"),
  tenant: tenant.optional().describe("the tenant whose total the job counts toward"),
  labels: z.record(z.string(), word).nullish().describe("texts by name, recorded with the result"),
  intent: word
    .optional()
    .describe("the purpose of the job, recorded with the result; with intents: live, batch or best-effort"),
  placement: z
    .enum(PLACEMENTS, { error: "auto, in-place, nested or scope" })
    .meta({ description: "auto, in-place, nested or scope" })
    .optional()
    .describe("where to create the job's cgroup, as for ffrtmp attach"),
});

function checkRules(section: object, report: Report): void {
  if (!Array.isArray(section)) return;
  const names = new Map<unknown, number>();
  for (const [index, rule] of section.entries()) {
    const name = rule?.name;
    const earlier = names.get(name);
    if (earlier === undefined) names.set(name, index);
    else if (typeof name === "string")
      report([index, "name"], `is also the name of rules[${earlier}]`, "another name", "value");
    if (rule?.ignore !== true) continue;
    for (const key of ["limits", "tenant", "labels", "intent", "placement"]) {
      if ((rule[key] ?? null) === null) continue;
      report([index, key], "has no effect in a rule with ignore", `either ignore or ${key}`);
    }
  }
}

const INTENT_MEANINGS: Record<Intent, string> = {
  live: "limits of jobs that must keep real time; cpu_weight 1000 when left out",
  batch: "limits of jobs that take what live ones leave; cpu_weight 1 when left out",
  "best-effort": "limits of jobs that run when nothing else wants the CPU; cpu_idle 1 when left out",
};

const FLEET_MODES = ["follow", "ignore"] as const;
const FLEET = "follow (use the fleet's policy where there is one) or ignore (use this file alone)";

const GOVERNOR = "on, dry-run (only report what it would do) or off";

const command = z.strictObject({
  limits: limits.describe("limits that override those of default_limits"),
  filters: filtersSection.describe("filters, each in place of the global one of the same name"),
});

function checkCommands(section: object, report: Report): void {
  const right = "the name of a command without its directory, such as ffmpeg";
  for (const name of Object.keys(section))
    if (name === "" || name.includes("/")) report([name], "is not the name of a command", right);
}

function checkTenants(section: object, report: Report): void {
  for (const name of Object.keys(section)) {
    const reason = faultInTenant(name);
    if (reason) report([name], `is not the name of a tenant: ${reason}`, "a name, or * for all others");
  }
}

const retention = z.strictObject({
  max_age: value(MAX_AGE, (input) => parseMaxAge(String(input).trim()))
    .optional()
    .describe("delete jobs that ended longer ago; 90d when left out"),
  max_size: value(MAX_SIZE, (input) => parseMaxSize(String(input).trim()))
    .optional()
    .describe("delete the oldest jobs while the ledger and the logs take more; 1GiB when left out"),
});

const MAX_HOOK_WORDS = 64;
const MAX_HOOK_WORD = 4096;
const hookWord = text(`text of at most ${MAX_HOOK_WORD} characters`, (input) => {
  if (input.length > MAX_HOOK_WORD) throw new ValueFault(`has ${input.length} characters`);
  if (input.includes("\0")) throw new ValueFault("contains a NUL character");
  return input;
});
const hookFile = text(HOOK_FILE, parseHookFile);
const hook = z.union(
  [
    z
      .tuple([hookFile], hookWord, { error: `${HOOK_FILE}, and its arguments` })
      .meta({ description: `a list of ${HOOK_FILE} and its arguments` })
      .refine((words) => words.length <= MAX_HOOK_WORDS, { error: `at most ${MAX_HOOK_WORDS} words` }),
    hookFile.transform((file): [string, ...string[]] => [file]),
  ],
  { error: `${HOOK_FILE}, or a list with its arguments` },
);

const file = z.strictObject({
  scan_interval: value(SCAN_INTERVAL, (input) => parseScanInterval(String(input).trim()))
    .optional()
    .describe("interval between full process scans"),
  target_commands: anyNumber(commandPattern, "a list of commands").describe(
    "commands to govern; ffmpeg and gst-launch-1.0 when empty or left out",
  ),
  default_limits: limits.describe("limits of every job"),
  filters: filtersSection.describe("conditions for governing a process, whichever rule matches"),
  commands: checked(z.record(z.string(), command.nullish()).nullish(), checkCommands).describe(
    "limits and filters of single commands",
  ),
  rules: checked(anyNumber(rule, "a list; each item starts with - name:"), checkRules).describe(
    "decisions for matching processes; the first rule that matches decides",
  ),
  intents: z
    .strictObject({
      ...(Object.fromEntries(
        INTENTS.map((intent) => [intent, limits.describe(INTENT_MEANINGS[intent])]),
      ) as Record<Intent, typeof limits>),
      governor: z
        .enum(GOVERNOR_MODES, { error: GOVERNOR })
        .meta({ description: GOVERNOR })
        .optional()
        .describe("give batch a CPU quota where its weight does not count; off when left out"),
      headroom: value(HEADROOM, (input) => parseHeadroom(String(input).trim()))
        .optional()
        .describe("the CPU time that the governor leaves free; 10% when left out"),
    })
    .nullish()
    .describe("give the intents of rules their limits; {} for the defaults"),
  fleet: z
    .enum(FLEET_MODES, { error: FLEET })
    .meta({ description: FLEET })
    .optional()
    .describe(
      "on a node of a fleet: whether the fleet's policy takes the place of this file; follow when left out",
    ),
  retention: retention.nullish().describe("how much history is kept"),
  on_end: hook
    .optional()
    .describe(
      "the command that ffrtmp watch runs after each result it records, with the result as JSON on stdin",
    ),
  on_end_timeout: value(HOOK_TIMEOUT, (input) => parseHookTimeout(String(input).trim()))
    .optional()
    .describe("end the command of on_end after this time; 30s when left out"),
  tenants: checked(z.record(z.string(), totals).nullish(), checkTenants).describe(
    'total limits by tenant; "*" is the total of each tenant that is not listed',
  ),
});

/** The whole file: the one definition for validation, faults, the JSON Schema and the manual. */
export const policySchema = checked(file, checkIntents);

/** Without `intents`, an intent is any word. */
function checkIntents(section: object, report: Report): void {
  const { intents, rules } = section as { intents?: unknown; rules?: unknown };
  if (intents === undefined || !Array.isArray(rules)) return;
  for (const [index, rule] of rules.entries()) {
    const intent = rule?.intent;
    if (typeof intent !== "string" || isIntent(intent.trim())) continue;
    const message = `has no limits in intents`;
    report(["rules", index, "intent"], message, nearest(intent, INTENTS) ?? INTENT, "value");
  }
}

export type PolicyWords = z.output<typeof policySchema>;
