import { maskText } from "../jobs/model/secrets.ts";
import { type Limits, mergeLayers } from "../limits/limits.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import type { Condition } from "./conditions.ts";
import type { ProcessFacts } from "./facts.ts";
import { bestName, type NamePattern } from "./namePattern.ts";
import type { Policy, Rule } from "./policy.ts";

export type Decision =
  | {
      govern: true;
      /** The command that the process was recognised as, for messages and the job id. */
      target: string;
      /** `undefined` when no rule matches and the process is governed as one of the target commands. */
      rule: string | undefined;
      limits: Limits;
      tenant: string | undefined;
      labels: Readonly<Record<string, string>>;
      intent: string | undefined;
      placement: Placement | undefined;
      tenantRefused?: string | undefined;
    }
  | {
      govern: false;
      because: string;
      /** The rule that matched, if any. */
      rule: string | undefined;
      /** The ms after which to decide again, when only the age of the process is against governing it. */
      retryInMs: number | undefined;
      /**
       * A rule would have matched if a fact of the process could be part of a tenant's name: the fact, and why it cannot.
       * A later rule or the target commands decided.
       */
      tenantRefused?: string | undefined;
    };

/** The result of one rule, of the target commands or of the filters. */
export interface Step {
  /** A rule's name, `target_commands` or `filters`. */
  subject: string;
  kind: "rule" | "targets" | "filters";
  /** The first condition that does not match. Its key is the one in the file. */
  failed: { key: string; wanted: string; found: string } | undefined;
  /** The step matches, but an earlier one has decided. */
  isTooLate: boolean;
}

export interface Explanation {
  decision: Decision;
  steps: Step[];
}

/** Makes the same decision as decide() and records each step, also of the rules after the one that decides. */
export function explain(policy: Policy, facts: ProcessFacts): Explanation {
  const steps: Step[] = [];
  return { decision: decide(policy, facts, steps), steps };
}

export function decide(policy: Policy, facts: ProcessFacts, steps?: Step[]): Decision {
  const refused: string[] = [];
  const decision = decideBy(choose(policy, facts, steps, refused), policy, facts, steps);
  return refused.length === 0 ? decision : { ...decision, tenantRefused: refused[0] };
}

function decideBy(
  choice: Choice | undefined,
  policy: Policy,
  facts: ProcessFacts,
  steps: Step[] | undefined,
): Decision {
  if (choice === undefined) return refuse("no rule matches, and the command is not a target command");
  const { rule, target } = choice;
  if (rule?.ignore) return refuse(`rule ${rule.name} ignores the process`, rule);
  const command = policy.commands.find(({ name }) => name.find(facts.names) !== undefined);
  const filter = firstFailing(command?.filters ?? policy.filters, facts);
  steps?.push({ subject: "filters", kind: "filters", failed: describe(filter, facts), isTooLate: false });
  if (filter !== undefined) {
    const because = `${filter.key}: expected ${filter.wanted}, found ${foundBy(filter, facts)}`;
    return refuse(because, rule, filter.retryInMs?.(facts));
  }
  const tenant = rule?.tenant?.name(facts);
  return {
    govern: true,
    target,
    rule: rule?.name,
    limits: mergeLayers(policy.defaults, rule?.intentLimits, command?.limits, rule?.limits),
    tenant: tenant && "name" in tenant ? tenant.name : undefined,
    // A rule can replace what the scheduler says.
    labels: { ...facts.labels, ...rule?.labels },
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

/**
 * Returns the first rule that matches; without one, the target commands. Adds to `refused` why the tenants of earlier rules
 * were refused.
 */
function choose(
  policy: Policy,
  facts: ProcessFacts,
  steps: Step[] | undefined,
  refused: string[],
): Choice | undefined {
  let choice: Choice | undefined;
  const answers: boolean[] = [];
  for (const rule of policy.rules) {
    const failing = firstFailing(rule.conditions, facts, answers);
    const isTooLate = failing === undefined && choice !== undefined;
    steps?.push({ subject: rule.name, kind: "rule", failed: describe(failing, facts), isTooLate });
    const refusal = choice === undefined ? failing?.refusal?.(facts) : undefined;
    if (refusal !== undefined) refused.push(refusal);
    if (failing !== undefined || choice !== undefined) continue;
    choice = { rule, target: maskText(findName(rule.commands, facts) ?? bestName(facts.names)) };
    if (steps === undefined) return choice;
  }
  const target = findName(policy.targets, facts);
  steps?.push({
    subject: "target_commands",
    kind: "targets",
    failed: target === undefined ? describe(policy.isTarget, facts) : undefined,
    isTooLate: target !== undefined && choice !== undefined,
  });
  return choice ?? (target === undefined ? undefined : { rule: undefined, target: maskText(target) });
}

function findName(patterns: readonly NamePattern[], { names }: ProcessFacts): string | undefined {
  for (const pattern of patterns) {
    const name = pattern.find(names);
    if (name !== undefined) return name;
  }
  return undefined;
}

/** Keeps the results of conditions that several rules share in `answers`. */
function firstFailing(
  conditions: readonly Condition[],
  facts: ProcessFacts,
  answers: boolean[] = [],
): Condition | undefined {
  for (const condition of conditions) {
    const { shared } = condition;
    const isMet = (shared === undefined ? undefined : answers[shared]) ?? condition.matches(facts);
    if (shared !== undefined) answers[shared] = isMet;
    if (!isMet) return condition;
  }
  return undefined;
}

function describe(condition: Condition | undefined, facts: ProcessFacts): Step["failed"] {
  return condition && { key: condition.key, wanted: condition.wanted, found: foundBy(condition, facts) };
}

/** Reasons are recorded and logged, and a process chooses how long its arguments and variables are. */
const MAX_FOUND_LENGTH = 500;

function foundBy(condition: Condition, facts: ProcessFacts): string {
  const found = condition.found(facts);
  // Cut first: the daemon describes each process that a filter refuses.
  const shown = maskText(found.slice(0, MAX_FOUND_LENGTH));
  return found.length <= MAX_FOUND_LENGTH ? shown : `${shown}… (${found.length} characters)`;
}
