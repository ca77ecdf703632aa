import type { Limits } from "../limits/limits.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import type { Condition } from "./conditions.ts";
import type { ProcessFacts } from "./facts.ts";
import { bestName, type NamePattern } from "./namePattern.ts";
import { mergeLayers, NO_LIMITS, type Policy, type Rule } from "./policy.ts";

/** The decision of a policy about one process. */
export type Decision =
  | {
      govern: true;
      /** The command that the process was recognised as. */
      target: string;
      /** `undefined` when no rule matches and the process is governed as one of the target commands. */
      rule: string | undefined;
      limits: Limits;
      tenant: string | undefined;
      labels: Readonly<Record<string, string>>;
      intent: string | undefined;
      placement: Placement | undefined;
    }
  | {
      govern: false;
      because: string;
      /** The rule that matched, if any. */
      rule: string | undefined;
      /** The ms after which to decide again, when only the age of the process is against governing it. */
      retryInMs: number | undefined;
    };

/** The result of one rule, of the target commands or of the filters. */
export interface Step {
  /** A rule's name, `target_commands` or `filters`. */
  subject: string;
  kind: "rule" | "targets" | "filters";
  /** The first condition that does not match. */
  failed: FailedCondition | undefined;
  /** The step matches, but an earlier one has decided. */
  isTooLate: boolean;
}

export interface FailedCondition {
  /** The key in the file. */
  key: string;
  wanted: string;
  found: string;
}

export interface Explanation {
  decision: Decision;
  steps: Step[];
}

export function decide(policy: Policy, facts: ProcessFacts): Decision {
  return decideInSteps(policy, facts, undefined);
}

/** Makes the same decision and records each step, also of the rules after the one that decides. */
export function explain(policy: Policy, facts: ProcessFacts): Explanation {
  const steps: Step[] = [];
  return { decision: decideInSteps(policy, facts, steps), steps };
}

function decideInSteps(policy: Policy, facts: ProcessFacts, steps: Step[] | undefined): Decision {
  const choice = choose(policy, facts, steps);
  if (choice === undefined) return refuse("no rule matches, and the command is not a target command");
  const { rule, target } = choice;
  if (rule?.ignore) return refuse(`rule ${rule.name} ignores the process`, rule);
  const command = policy.commands.find(({ name }) => name.find(facts.names) !== undefined);
  const filter = firstFailing(command?.filters ?? policy.filters, facts);
  steps?.push({ subject: "filters", kind: "filters", failed: describe(filter, facts), isTooLate: false });
  if (filter !== undefined) {
    const because = `${filter.key}: expected ${filter.wanted}, found ${filter.found(facts)}`;
    return refuse(because, rule, filter.retryInMs?.(facts));
  }
  const tenant = rule?.tenant?.name(facts);
  return {
    govern: true,
    target,
    rule: rule?.name,
    limits: mergeLayers([policy.defaults, command?.limits ?? NO_LIMITS, rule?.limits ?? NO_LIMITS]),
    tenant: tenant && "name" in tenant ? tenant.name : undefined,
    labels: rule?.labels ?? {},
    intent: rule?.intent,
    placement: rule?.placement,
  };
}

function refuse(because: string, rule?: Rule, retryInMs?: number): Decision {
  return { govern: false, because, rule: rule?.name, retryInMs };
}

interface Choice {
  rule: Rule | undefined;
  target: string;
}

/** Returns the first rule that matches; without one, the target commands. */
function choose(policy: Policy, facts: ProcessFacts, steps: Step[] | undefined): Choice | undefined {
  let choice: Choice | undefined;
  const answers = new Uint8Array(policy.sharedConditions);
  for (const rule of policy.rules) {
    const failed = firstFailing(rule.conditions, facts, answers);
    steps?.push({
      subject: rule.name,
      kind: "rule",
      failed: describe(failed, facts),
      isTooLate: failed === undefined && choice !== undefined,
    });
    if (failed !== undefined || choice !== undefined) continue;
    choice = { rule, target: findName(rule.commands, facts) ?? bestName(facts.names) };
    if (steps === undefined) return choice;
  }
  const target = findName(policy.targets, facts);
  steps?.push({
    subject: "target_commands",
    kind: "targets",
    failed: target === undefined ? describe(policy.isTarget, facts) : undefined,
    isTooLate: target !== undefined && choice !== undefined,
  });
  return choice ?? (target === undefined ? undefined : { rule: undefined, target });
}

function findName(patterns: readonly NamePattern[], { names }: ProcessFacts): string | undefined {
  for (const pattern of patterns) {
    const name = pattern.find(names);
    if (name !== undefined) return name;
  }
  return undefined;
}

const MATCHES = 1;
const FAILS = 2;

/** Keeps the results of shared conditions in `answers` for the next rules. 0 there means not yet checked. */
function firstFailing(
  conditions: readonly Condition[],
  facts: ProcessFacts,
  answers?: Uint8Array,
): Condition | undefined {
  for (const condition of conditions) {
    const { shared } = condition;
    if (answers === undefined || shared === undefined) {
      if (!condition.matches(facts)) return condition;
      continue;
    }
    if (answers[shared] === 0) answers[shared] = condition.matches(facts) ? MATCHES : FAILS;
    if (answers[shared] === FAILS) return condition;
  }
  return undefined;
}

function describe(condition: Condition | undefined, facts: ProcessFacts): FailedCondition | undefined {
  return condition && { key: condition.key, wanted: condition.wanted, found: condition.found(facts) };
}
