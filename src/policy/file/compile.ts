import type { Limits } from "../../limits/limits.ts";
import type { findWholeDisk } from "../../linux/blockDevice.ts";
import { type Condition, commandIs, tenantIsKnown } from "../conditions.ts";
import { exactName, type NamePattern, namesOf } from "../namePattern.ts";
import { type CommandEntry, DEFAULT_TARGETS, type LimitLayer, type Policy, type Rule } from "../policy.ts";
import { type Compiled, compileFilters, compileMatch } from "./conditionKeys.ts";
import type { PolicyFault } from "./fault.ts";
import { toLayer } from "./limitsSchema.ts";
import { nearest } from "./nearest.ts";
import type { PolicyWords, RuleWords } from "./schema.ts";
import type { Source } from "./source.ts";

type Path = readonly PropertyKey[];

/** Compiles a valid policy file, and warns of values that are valid but most likely a mistake. */
export class PolicyCompiler {
  readonly warnings: PolicyFault[] = [];
  readonly #source: Source;
  readonly #findDisk: typeof findWholeDisk;
  readonly #matches = new Map<string, Compiled>();

  constructor(source: Source, findDisk: typeof findWholeDisk) {
    this.#source = source;
    this.#findDisk = findDisk;
  }

  compile(words: PolicyWords, path: string): Policy {
    const named = words.target_commands ?? [];
    const targets: readonly NamePattern[] = named.length > 0 ? named : DEFAULT_TARGETS.map(exactName);
    const isTarget = commandIs("target_commands", targets);
    const filters = words.filters ?? {};
    const commands = Object.entries(words.commands ?? {}).map(
      ([name, command]): CommandEntry => ({
        name: exactName(name),
        limits: this.#layer(command?.limits, ["commands", name, "limits"]),
        filters: command?.filters
          ? compileFilters(filters, command.filters, `commands.${name}.filters`)
          : undefined,
      }),
    );
    const rules = (words.rules ?? []).map((rule, index) => this.#rule(rule, index, targets, isTarget));
    const tenants = new Map(
      Object.entries(words.tenants ?? {}).map(([name, totals]) => [
        name,
        this.#layer(totals, ["tenants", name]).set,
      ]),
    );
    const otherTenants = tenants.get("*");
    tenants.delete("*");
    this.#warnOfTenants(rules, tenants, otherTenants);
    this.#warnOfCommands(commands, targets, rules);
    return {
      path,
      scanIntervalMs: words.scan_interval,
      targets,
      isTarget,
      rules,
      sharedConditions: shareConditions(rules),
      defaults: this.#layer(words.default_limits, ["default_limits"]),
      commands,
      filters: compileFilters(filters, {}, "filters"),
      tenants,
      otherTenants,
    };
  }

  #warn(at: Path, message: string, right: string): void {
    this.warnings.push(this.#source.fault(at, "value", message, right));
  }

  #rule(
    { name, match, ignore = false, tenant, labels, intent, placement, limits }: RuleWords,
    index: number,
    targets: readonly NamePattern[],
    isTarget: Condition,
  ): Rule {
    const isForTargets = match.command === undefined && match.exe === undefined;
    const conditions = compileMatch(match, this.#matches);
    // A rule about a user is about the user's targets, not about the user's shell.
    if (isForTargets) conditions.unshift(isTarget);
    if (tenant) conditions.push(tenantIsKnown("tenant", tenant));
    return {
      name,
      conditions,
      commands: match.command ?? (isForTargets ? targets : []),
      ignore,
      limits: this.#layer(limits, ["rules", index, "limits"]),
      tenant,
      labels: labels ?? {},
      intent,
      placement,
    };
  }

  /** Warns of a missing disk: where a mount failed, the other limits apply, and the outcome reports it. */
  #layer(section: Parameters<typeof toLayer>[0], at: Path): LimitLayer {
    const { set, lifted } = toLayer(section);
    if (set.ioMax === undefined) return { set, lifted };
    const ioMax = set.ioMax.map((max) => {
      const found = this.#findDisk(max.device);
      if ("device" in found) return { ...max, device: found.device };
      const message = `will be refused on this machine: ${found.reason}`;
      this.#warn([...at, "io_max"], message, "a disk that lsblk -d lists, or a path on one");
      return max;
    });
    return { set: { ...set, ioMax }, lifted };
  }

  #warnOfTenants(
    rules: readonly Rule[],
    tenants: ReadonlyMap<string, Limits>,
    others: Limits | undefined,
  ): void {
    if (tenants.size === 0 || others !== undefined) return;
    for (const [index, { tenant }] of rules.entries()) {
      if (tenant === undefined || tenant.text.includes("{") || tenants.has(tenant.text)) continue;
      const near = nearest(tenant.text, tenants.keys()) ?? [...tenants.keys()].join(", ");
      this.#warn(["rules", index, "tenant"], "has no total: tenants does not list it", near);
    }
  }

  #warnOfCommands(
    commands: readonly CommandEntry[],
    targets: readonly NamePattern[],
    rules: readonly Rule[],
  ): void {
    // A rule about executables may apply to any command.
    if (rules.some((rule) => rule.commands.length === 0)) return;
    const patterns = [...targets, ...rules.flatMap((rule) => rule.commands)];
    for (const { name } of commands) {
      const names = namesOf(name.text.slice(0, 15), name.text, name.text);
      if (patterns.some((pattern) => pattern.find(names) !== undefined)) continue;
      const message = "has no effect: it is not a target command, and no rule names it";
      this.#warn(["commands", name.text], message, `add ${name.text} to target_commands`);
    }
  }
}

/** Gives an index to each condition that several rules share, and returns their number. */
function shareConditions(rules: readonly Rule[]): number {
  const seen = new Set<Condition>();
  let count = 0;
  for (const condition of rules.flatMap((rule) => rule.conditions)) {
    if (seen.has(condition)) condition.shared ??= count++;
    seen.add(condition);
  }
  return count;
}
