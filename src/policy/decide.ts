import type { Limits } from "../limits/limits.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import type { Condition } from "./conditions.ts";
import type { ProcessFacts } from "./facts.ts";
import { bestName, type NamePattern } from "./namePattern.ts";
import {
  type CommandEntry,
  type LimitLayer,
  mergeLayers,
  NO_LIMITS,
  type Policy,
  type Rule,
} from "./policy.ts";

/** What a policy makes of a process. */
export type Decision =
  | {
      govern: true;
      /** The command that it was recognised as. */
      target: string;
      /** `undefined`: no rule matched, and it is governed as one of the target commands. */
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
      /** The rule that matched, when one did. */
      rule: string | undefined;
      /** Nothing but its age speaks against it: to be judged again after so many ms. */
      retryInMs: number | undefined;
    };

/** How one rule, the target commands or the filters fared; `failed` is the first condition that did not hold. */
export interface Step {
  /** A rule's name, `target_commands` or `filters`. */
  subject: string;
  kind: "rule" | "targets" | "filters";
  failed: FailedCondition | undefined;
  /** It matches, and an earlier one had decided already. */
  isTooLate: boolean;
}

export interface FailedCondition {
  /** Where it stands in the file. */
  key: string;
  wanted: string;
  found: string;
}

export interface Explanation {
  decision: Decision;
  steps: Step[];
}

export function decide(policy: Policy, facts: ProcessFacts): Decision {
  return judge(policy, facts, undefined);
}

/** The same decision, and how it came about; looks at the rules behind the one that decides, too. */
export function explain(policy: Policy, facts: ProcessFacts): Explanation {
  const steps: Step[] = [];
  return { decision: judge(policy, facts, steps), steps };
}

function judge(policy: Policy, facts: ProcessFacts, steps: Step[] | undefined): Decision {
  const choice = choose(policy, facts, steps);
  if (choice === undefined) {
    const because = "no rule matches, and it goes by none of the target commands";
    return { govern: false, because, rule: undefined, retryInMs: undefined };
  }
  const { rule, target } = choice;
  if (rule?.ignore) {
    return { govern: false, because: `rule ${rule.name} ignores it`, rule: rule.name, retryInMs: undefined };
  }
  const command = policy.commands.find(({ name }) => name.find(facts.names) !== undefined);
  const filter = firstFailing(command?.filters ?? policy.filters, facts);
  steps?.push({ subject: "filters", kind: "filters", failed: describe(filter, facts), isTooLate: false });
  if (filter !== undefined) return refuseBy(filter, facts, rule);
  return governAs(policy, facts, target, rule, command);
}

interface Choice {
  rule: Rule | undefined;
  target: string;
}

/** The first rule that matches; without one, the target commands. */
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

const HOLDS = 1;
const FAILS = 2;

function firstFailing(
  conditions: readonly Condition[],
  facts: ProcessFacts,
  answers?: Uint8Array,
): Condition | undefined {
  for (const condition of conditions) {
    const { shared } = condition;
    if (answers === undefined || shared === undefined) {
      if (!condition.holds(facts)) return condition;
      continue;
    }
    if (answers[shared] === 0) answers[shared] = condition.holds(facts) ? HOLDS : FAILS;
    if (answers[shared] === FAILS) return condition;
  }
  return undefined;
}

function describe(condition: Condition | undefined, facts: ProcessFacts): FailedCondition | undefined {
  return condition && { key: condition.key, wanted: condition.wanted, found: condition.found(facts) };
}

function refuseBy(filter: Condition, facts: ProcessFacts, rule: Rule | undefined): Decision {
  const because = `${filter.key} wants ${filter.wanted}, and it is ${filter.found(facts)}`;
  return { govern: false, because, rule: rule?.name, retryInMs: filter.retryInMs?.(facts) };
}

function governAs(
  policy: Policy,
  facts: ProcessFacts,
  target: string,
  rule: Rule | undefined,
  command: CommandEntry | undefined,
): Decision {
  const tenant = rule?.tenant?.name(facts);
  const layers: LimitLayer[] = [policy.defaults, command?.limits ?? NO_LIMITS, rule?.limits ?? NO_LIMITS];
  return {
    govern: true,
    target,
    rule: rule?.name,
    limits: mergeLayers(layers),
    tenant: tenant && "name" in tenant ? tenant.name : undefined,
    labels: rule?.labels ?? {},
    intent: rule?.intent,
    placement: rule?.placement,
  };
}
