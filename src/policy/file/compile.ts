import type { Limits } from "../../limits/limits.ts";
import type { findWholeDisk } from "../../linux/blockDevice.ts";
import {
  argumentsMatch,
  blocked,
  type Condition,
  cgroupIs,
  commandIs,
  containerIs,
  directoryIs,
  executableIs,
  groupIs,
  olderThan,
  parentAllowed,
  startedBy,
  tenantIsKnown,
  userIs,
  variableMatches,
  youngerThan,
} from "../conditions.ts";
import { exactName, type NamePattern } from "../namePattern.ts";
import { type CommandEntry, DEFAULT_TARGETS, type LimitLayer, type Policy, type Rule } from "../policy.ts";
import type { PolicyFault } from "./fault.ts";
import { toLayer } from "./limitsSchema.ts";
import { nearest } from "./nearest.ts";
import type { FiltersWords, PolicyWords, RuleWords } from "./schema.ts";
import type { Path, Source } from "./source.ts";

type FindDisk = typeof findWholeDisk;

/** Makes of a valid file what decisions are made by. Warns of what is valid and most likely not meant. */
export function compilePolicy(
  words: PolicyWords,
  path: string,
  source: Source,
  findDisk: FindDisk,
): { policy: Policy; warnings: PolicyFault[] } {
  const warnings: PolicyFault[] = [];
  const warn = (at: Path, message: string, right: string): void => {
    warnings.push(source.fault(at, "value", message, right));
  };
  const layerOf = (section: Parameters<typeof toLayer>[0], at: Path): LimitLayer => {
    const layer = toLayer(section);
    return {
      ...layer,
      set: withDisks(layer.set, findDisk, (message, right) => warn([...at, "io_max"], message, right)),
    };
  };

  const named = words.target_commands ?? [];
  const targets: readonly NamePattern[] = named.length > 0 ? named : DEFAULT_TARGETS.map(exactName);
  const isTarget = commandIs("target_commands", targets);
  const tenants = Object.entries(words.tenants ?? {}).map(([name, totals]): [string, Limits] => [
    name,
    layerOf(totals, ["tenants", name]).set,
  ]);
  const intern = new Interned();
  const rules = (words.rules ?? []).map((rule, index) =>
    compileRule(rule, targets, isTarget, layerOf(rule.limits, ["rules", index, "limits"]), intern),
  );
  const policy: Policy = {
    path,
    scanIntervalMs: words.scan_interval,
    targets,
    isTarget,
    rules,
    sharedConditions: shareConditions(rules),
    defaults: layerOf(words.default_limits, ["default_limits"]),
    commands: Object.entries(words.commands ?? {}).map(([name, command]): CommandEntry => {
      const key = `commands.${name}.filters`;
      return {
        name: exactName(name),
        limits: layerOf(command?.limits, ["commands", name, "limits"]),
        filters: command?.filters ? compileFilters(words.filters ?? {}, command.filters, key) : undefined,
      };
    }),
    filters: compileFilters(words.filters ?? {}, {}, "filters"),
    tenants: new Map(tenants.filter(([name]) => name !== "*")),
    otherTenants: tenants.find(([name]) => name === "*")?.[1],
  };
  warnOfTenants(policy, warn);
  warnOfCommands(policy, warn);
  return { policy, warnings };
}

/** Makes one condition of those that are worded alike in several rules. */
class Interned {
  readonly #conditions = new Map<string, Condition>();

  condition<T>(
    key: string,
    items: readonly T[],
    make: (key: string, items: readonly T[]) => Condition,
  ): Condition {
    const words = items.map((item) => (typeof item === "number" ? item : (item as { text: string }).text));
    const name = JSON.stringify([key, words]);
    const condition = this.#conditions.get(name) ?? make(key, items);
    this.#conditions.set(name, condition);
    return condition;
  }
}

/** Gives each condition that several rules have a place among them, and returns their number. */
function shareConditions(rules: readonly Rule[]): number {
  const seen = new Set<Condition>();
  let count = 0;
  for (const condition of rules.flatMap((rule) => rule.conditions)) {
    if (seen.has(condition)) condition.shared ??= count++;
    seen.add(condition);
  }
  return count;
}

/** In the order in which they are asked: what costs least first. */
function compileRule(
  { name, match, ignore, tenant, labels, intent, placement }: RuleWords,
  targets: readonly NamePattern[],
  isTarget: Condition,
  limits: LimitLayer,
  intern: Interned,
): Rule {
  const conditions: Condition[] = [];
  const add = <T>(
    key: string,
    items: readonly T[],
    make: (key: string, items: readonly T[]) => Condition,
  ): void => {
    conditions.push(intern.condition(key, items, make));
  };
  if (match.command) add("match.command", match.command, commandIs);
  // A rule about a user speaks of what is governed of his, not of his shell.
  else if (!match.exe) conditions.push(isTarget);
  if (match.argv) add("match.argv", match.argv, argumentsMatch);
  if (match.exe) add("match.exe", match.exe, executableIs);
  if (match.user) add("match.user", match.user, userIs);
  if (match.group) add("match.group", match.group, groupIs);
  if (match.cwd) add("match.cwd", match.cwd, directoryIs);
  if (match.cgroup) add("match.cgroup", match.cgroup, cgroupIs);
  if (match.container !== undefined) conditions.push(containerIs("match.container", match.container));
  if (match.parent) add("match.parent", match.parent, startedBy);
  for (const [variable, patterns] of Object.entries(match.env ?? {})) {
    conditions.push(variableMatches(`match.env.${variable}`, variable, patterns));
  }
  if (tenant) conditions.push(tenantIsKnown("tenant", tenant));
  return {
    name,
    conditions,
    commands: match.command ?? (match.exe ? [] : targets),
    ignore: ignore ?? false,
    limits,
    tenant,
    labels: labels ?? {},
    intent,
    placement,
  };
}

/** The command's own stand in the place of the global ones, key by key. Age comes last: the rest does not change. */
function compileFilters(global: FiltersWords, own: FiltersWords, ownKey: string): Condition[] {
  const conditions: Condition[] = [];
  const each = <K extends keyof FiltersWords>(
    name: K,
    add: (value: NonNullable<FiltersWords[K]>, key: string) => Condition,
  ): void => {
    const isOwn = own[name] !== undefined;
    const value = isOwn ? own[name] : global[name];
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return;
    conditions.push(add(value, `${isOwn ? ownKey : "filters"}.${name}`));
  };
  const hasUid = ({ uid }: { uid: number | undefined }): boolean => uid !== undefined;
  each("allowed_users", (users, key) => userIs(key, users));
  each("blocked_users", (users, key) => blocked(userIs(key, users), hasUid));
  each("allowed_uids", (uids, key) => userIs(key, uids));
  each("blocked_uids", (uids, key) => blocked(userIs(key, uids), hasUid));
  each("allowed_dirs", (directories, key) => directoryIs(key, directories));
  each("blocked_dirs", (directories, key) =>
    blocked(directoryIs(key, directories), ({ cwd }) => cwd !== undefined),
  );
  each("allowed_parents", (parents, key) => parentAllowed(key, parents));
  each("blocked_parents", (parents, key) => blocked(parentAllowed(key, parents), () => true));
  each("max_runtime", ({ ms, text }, key) => youngerThan(key, ms, `at most ${text}`));
  each("min_runtime", ({ ms, text }, key) => olderThan(key, ms, `at least ${text}`));
  return conditions;
}

/** A disk that is not there is no fault: a machine whose mount failed governs what it can, and the outcome says it. */
function withDisks(
  limits: Limits,
  findDisk: FindDisk,
  warn: (message: string, right: string) => void,
): Limits {
  if (limits.ioMax === undefined) return limits;
  const ioMax = limits.ioMax.map((max) => {
    const found = findDisk(max.device);
    if ("device" in found) return { ...max, device: found.device };
    warn(`will be refused on this machine: ${found.reason}`, "a disk of lsblk -d, or a path on one");
    return max;
  });
  return { ...limits, ioMax };
}

function warnOfTenants(
  { rules, tenants, otherTenants }: Policy,
  warn: (at: Path, message: string, right: string) => void,
): void {
  if (tenants.size === 0 || otherTenants !== undefined) return;
  for (const [index, { tenant }] of rules.entries()) {
    if (tenant === undefined || tenant.text.includes("{") || tenants.has(tenant.text)) continue;
    const near = nearest(tenant.text, tenants.keys()) ?? [...tenants.keys()].join(", ");
    warn(["rules", index, "tenant"], "has no total: it is not among the tenants", near);
  }
}

function warnOfCommands(
  { commands, targets, rules }: Policy,
  warn: (at: Path, message: string, right: string) => void,
): void {
  const patterns = [...targets, ...rules.flatMap((rule) => rule.commands)];
  // A rule about executables may well mean it.
  if (rules.some((rule) => rule.commands.length === 0)) return;
  for (const { name } of commands) {
    const names = { comm: name.text.slice(0, 15), argv0: name.text, executable: name.text };
    if (patterns.some((pattern) => pattern.find(names) !== undefined)) continue;
    const message = "is of no effect: it is no target command, and no rule names it";
    warn(["commands", name.text], message, `add ${name.text} to target_commands`);
  }
}
